"""Arguments as services give them: anything may come in, only what the contract can hold goes on.

A service that logs a call it made by itself must not fail because a count was text or a user id a number. A value that
cannot be used is left out, and its name is kept so that the entry says what it lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llm_audit_producer import context, messages_api
from llm_audit_producer.call import Call, CanonicalForm
from llm_audit_producer.context import CallContext
from llm_audit_producer.retained import retained_bytes
from llm_audit_schemas import STATUSES
from llm_audit_schemas.text import storable_json

_TEXT_FIELDS = (
    "provider",
    "action",
    "requested_model",
    "model",
    "provider_request_id",
    "response_id",
    "batch_id",
    "custom_id",
    "stop_reason",
    "error_type",
    "error_message",
    "trace_id",
    "span_id",
    "sdk",
)
_COUNT_FIELDS = ("time_to_first_token_ms", "http_status", "attempts", "sanitization_count")
_TOKEN_FIELDS = (
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "server_tool_requests",
)
_USAGE_TEXT_FIELDS = ("service_tier", "inference_geo", "speed")
_CONTEXT_FIELDS = ("user_id", "tenant", "session_id", "run_id", "metadata", "content_mode")
_LARGEST_COUNT = 2**63 - 1
_LARGEST_INT = 2**31 - 1
_BASE_BYTES = 1024


class Arguments:
    """The named arguments of one ``log_request`` or ``log_error``.

    Args:
        given: Name to value; ``None`` counts as not given.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self._invalid: list[str] = []

    @property
    def invalid(self) -> tuple[str, ...]:
        """Names of the arguments that could not be used, the unknown ones included."""
        return tuple(sorted({*self._invalid, *self._given}))

    def context(self) -> CallContext:
        """What they say of who is asking."""
        said: dict[str, Any] = {name: self._given.pop(name, None) for name in _CONTEXT_FIELDS}
        return context.describe(**said)

    def fill(self, call: Call) -> None:
        """Set the call's plain fields."""
        for name in _TEXT_FIELDS:
            if (text := self._take_text(name)) is not None:
                setattr(call, name, text)
        for name in _COUNT_FIELDS:
            if (count := self._take_count(name, _LARGEST_INT)) is not None:
                setattr(call, name, count)
        call.streamed = bool(self._given.pop("streamed", False))
        if call.provider == "unknown" and (call.model or "").startswith("claude"):
            call.provider = "anthropic"
        self._fill_status(call)
        self._fill_collections(call)

    def read_usage(self, call: Call, usage: object) -> None:
        """Set the call's usage from the API's own block, then from single counts given beside it."""
        block = storable_json(_plain(usage))  # a copy, since the caller may change it
        if isinstance(block, Mapping):
            call.raw_usage = block
            call.usage = messages_api.read_usage(block)
        elif usage is not None:
            self._invalid.append("usage")
        for name in _TOKEN_FIELDS:
            if (count := self._take_count(name, _LARGEST_COUNT)) is not None:
                setattr(call.usage, name, count)
        for name in _USAGE_TEXT_FIELDS:
            if (text := self._take_text(name)) is not None:
                setattr(call.usage, name, text)

    def milliseconds(self, name: str) -> int | None:
        """A duration in milliseconds, rounded."""
        return self._take_count(name, _LARGEST_INT)

    def text_of(self, value: object) -> str | None:
        """Any value's words; never fails."""
        if value is None:
            return None
        words = storable_json(value)
        return words if isinstance(words, str) else str(words)

    def retained_bytes(self, call: Call) -> int:
        """About how much memory the call holds on to, for the queue's bound."""
        forms = [
            part.data if isinstance(part, CanonicalForm) else part
            for part in (call.system, call.input, call.output)
        ]
        return _BASE_BYTES + retained_bytes(*forms, call.raw_usage, call.context.metadata, call.tool_names)

    def _fill_status(self, call: Call) -> None:
        status = self._given.pop("status", None)
        if isinstance(status, str) and status in STATUSES:
            call.status = status
        elif status is not None:
            self._invalid.append("status")

    def _fill_collections(self, call: Call) -> None:
        names = self._given.pop("tool_names", None)
        if isinstance(names, list | tuple):
            call.tool_names = tuple(self.text_of(name) or "None" for name in names) or None
        elif names is not None:
            self._invalid.append("tool_names")
        events = self._given.pop("sanitization_events", None)
        if isinstance(events, Mapping):
            plain = storable_json(events)  # a copy, since the caller may go on counting in it
            call.sanitization_events = plain if isinstance(plain, Mapping) else None
        elif events is not None:
            self._invalid.append("sanitization_events")

    def _take_text(self, name: str) -> str | None:
        value = self._given.pop(name, None)
        return None if value is None else self.text_of(value)

    def _take_count(self, name: str, largest: int) -> int | None:
        value = self._given.pop(name, None)
        if value is None:
            return None
        if isinstance(value, float) and math.isfinite(value):
            value = round(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= largest:
            return value
        self._invalid.append(name)
        return None


def _plain(usage: object) -> object:
    """A usage block as a mapping: the SDK's objects dump themselves."""
    try:
        dump = getattr(usage, "model_dump", None)
        return dump() if callable(dump) else usage
    except Exception:  # noqa: BLE001 - an object that cannot be dumped is simply no usage block
        return None
