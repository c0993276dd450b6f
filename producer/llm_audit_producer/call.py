"""``Call``: what is known of one logical LLM call, whoever made it, before it becomes an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from llm_audit_producer.context import NOBODY, CallContext

ABSENT = object()
"""Content that is not known at all, as opposed to content that is ``None``."""


@dataclass(slots=True, frozen=True)
class CanonicalForm:
    """Content of which only the canonical form is kept, taken while the caller could not have changed it yet."""

    data: bytes


@dataclass(slots=True)
class Tokens:
    """Usage as reported; ``None`` where it was not. Meanings are the contract's (see ``AuditEntry``)."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    server_tool_requests: int | None = None
    web_search_requests: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


@dataclass(slots=True, kw_only=True)
class Call:
    """One logical call, in the contract's terms but with content still unhashed and usage still unpriced.

    Attributes:
        started_at: Start of the first attempt, UTC.
        latency_ms: From there to the end as the caller saw it.
        status: ``success``, ``error``, ``blocked`` or ``aborted``.
        system: System prompt in the API's own structure, its :class:`CanonicalForm`, or :data:`ABSENT`.
        input: Messages in the API's own structure, their form, or :data:`ABSENT`.
        output: Content blocks of the answer, their form, or :data:`ABSENT`.
        usage: Token counts as reported.
        raw_usage: The usage block itself.
        attempt_statuses: HTTP status or error class of each failed attempt.
        api_key: The key that was used, for its fingerprint only.
        region: Region of the platform's endpoint, for its price only.
        invalid: Names of arguments whose values could not be used.
    """

    request_id: str
    started_at: datetime
    provider: str
    action: str
    status: str
    context: CallContext = NOBODY
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    requested_model: str | None = None
    model: str | None = None
    streamed: bool = False
    provider_request_id: str | None = None
    response_id: str | None = None
    batch_id: str | None = None
    custom_id: str | None = None
    stop_reason: str | None = None
    tool_names: tuple[str, ...] | None = None
    usage: Tokens = field(default_factory=Tokens)
    raw_usage: Mapping[str, object] | None = None
    error_type: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    attempts: int = 1
    attempt_statuses: tuple[str, ...] = ()
    sanitization_count: int = 0
    sanitization_events: Mapping[str, object] | None = None
    system: object = ABSENT
    input: object = ABSENT
    output: object = ABSENT
    api_key: str | None = field(default=None, repr=False)
    trace_id: str | None = None
    span_id: str | None = None
    sdk: str | None = None
    region: str | None = None
    invalid: tuple[str, ...] = ()


class Captured(Protocol):
    """Something that happened, kept as cheaply as possible until a background thread reads it.

    Attributes:
        request_id: Identity of the entry it will become.
        retained_bytes: About how much memory it holds on to, for the queue's bound.
    """

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        ...

    @property
    def retained_bytes(self) -> int:
        """About how many bytes it holds on to."""
        ...

    def read(self) -> Call:
        """The call it was. Runs on the recorder's thread."""
        ...


@dataclass(slots=True, frozen=True)
class CapturedCall:
    """A call whose facts are at hand already, as with ``AuditLogger.log_request``."""

    call: Call
    retained_bytes: int = 1024

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        return self.call.request_id

    def read(self) -> Call:
        """The call itself."""
        return self.call
