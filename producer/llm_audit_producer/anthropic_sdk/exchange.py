"""One logical call over its HTTP attempts, and what the middleware keeps of it until the recorder reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from llm_audit_producer import messages_api
from llm_audit_producer.anthropic_sdk.body_watch import BodyWatch
from llm_audit_producer.anthropic_sdk.event_stream import decompress, read_events
from llm_audit_producer.anthropic_sdk.stream_fold import FoldedStream
from llm_audit_producer.call import Call
from llm_audit_producer.context import CallContext
from llm_audit_producer.retained import retained_bytes
from llm_audit_schemas import request_id_at

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BASE_BYTES = 2048
_HTTP_ERROR = 400


@dataclass(slots=True, kw_only=True)
class CallInProgress:
    """A call from its first attempt on.

    Attributes:
        provider: The platform called.
        action: What was called, as the SDK names it.
        context: Who is asking.
        body: The request's body, the SDK's own private copy.
        streamed: Whether the answer was asked for as a stream.
        sdk: Name and version of the SDK.
        attempts: HTTP attempts so far.
        failures: HTTP status or exception class of each failed attempt so far.
        sanitized: Whether a sanitizer has seen the body; it is then what is sent.
        sanitization_events: What was redacted: kind to count.
        trace_id: OpenTelemetry's trace within which the call was made.
        span_id: Its span.
        region: Region of the platform's endpoint.
    """

    provider: str
    action: str
    context: CallContext
    body: object
    streamed: bool
    sdk: str
    attempts: int = 1
    failures: list[str] = field(default_factory=list)
    started_at: datetime = field(default_factory=lambda: _at(time.time_ns()))
    started_monotonic_ns: int = field(default_factory=time.perf_counter_ns)
    request_id: str = ""
    sanitized: bool = False
    sanitization_events: Mapping[str, int] = field(default_factory=dict)
    trace_id: str | None = None
    span_id: str | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        self.request_id = request_id_at(self.started_at)

    def elapsed_ms(self) -> int:
        """Milliseconds since the first attempt started."""
        return round((time.perf_counter_ns() - self.started_monotonic_ns) / 1e6)

    def note_sanitized(self, body: object, events: Mapping[str, int]) -> None:
        """A sanitizer has seen the request: ``body`` is what is sent, ``events`` what was redacted."""
        self.sanitized = True
        self.body = body
        self.sanitization_events = events

    def as_call(self, status: str, latency_ms: int) -> Call:
        """The call in the contract's terms, with everything that was known before an answer."""
        call = Call(
            request_id=self.request_id,
            started_at=self.started_at,
            provider=self.provider,
            action=self.action,
            status=status,
            context=self.context,
            latency_ms=latency_ms,
            streamed=self.streamed,
            attempts=self.attempts,
            attempt_statuses=tuple(self.failures),
            sanitization_count=sum(self.sanitization_events.values()),
            sanitization_events=self.sanitization_events,
            sdk=self.sdk,
            trace_id=self.trace_id,
            span_id=self.span_id,
            region=self.region,
        )
        messages_api.read_request(call, self.body)
        return call


@dataclass(slots=True, kw_only=True)
class Answered:
    """A call that ended in an HTTP response, its body still unread bytes."""

    progress: CallInProgress
    latency_ms: int
    http_status: int
    content: bytes
    provider_request_id: str | None
    api_key: str | None = field(repr=False)
    sent_bytes: int = 0

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        return self.progress.request_id

    @property
    def retained_bytes(self) -> int:
        """Bytes of request and answer it holds on to, about."""
        held = self.sent_bytes + len(self.content)
        return _BASE_BYTES + held + retained_bytes(self.progress.context.metadata)

    def read(self) -> Call:
        """The call, its answer read."""
        failed = self.http_status >= _HTTP_ERROR
        call = self.progress.as_call("error" if failed else "success", self.latency_ms)
        call.http_status = self.http_status
        call.provider_request_id = self.provider_request_id
        call.api_key = self.api_key
        try:
            body: Any = json.loads(self.content)
        except (ValueError, RecursionError):
            body = None
        if failed:
            messages_api.read_error(call, body)
            call.error_type = call.error_type or f"http_{self.http_status}"
        else:
            messages_api.read_message(call, body)
        return call


@dataclass(slots=True, kw_only=True)
class Broken:
    """A call that ended in an exception instead of a response."""

    progress: CallInProgress
    latency_ms: int
    error_type: str
    error_message: str
    aborted: bool
    api_key: str | None = field(repr=False)

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        return self.progress.request_id

    @property
    def retained_bytes(self) -> int:
        """Bytes it holds on to, about; the request's size was never told, so its body is looked through."""
        return _BASE_BYTES + retained_bytes(self.progress.body, self.progress.context.metadata)

    def read(self) -> Call:
        """The call and what broke it."""
        call = self.progress.as_call("aborted" if self.aborted else "error", self.latency_ms)
        call.error_type = self.error_type
        call.error_message = self.error_message
        call.api_key = self.api_key
        return call


@dataclass(slots=True, kw_only=True)
class Blocked:
    """A call that was stopped before anything was sent."""

    progress: CallInProgress
    reason: str
    latency_ms: int

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        return self.progress.request_id

    @property
    def retained_bytes(self) -> int:
        """Bytes it holds on to, about."""
        return (
            _BASE_BYTES + retained_bytes(self.progress.body) + retained_bytes(self.progress.context.metadata)
        )

    def read(self) -> Call:
        """The call and why it was stopped."""
        call = self.progress.as_call("blocked", self.latency_ms)
        call.attempts = 0
        call.error_type = "blocked"
        call.error_message = self.reason
        return call


@dataclass(slots=True, kw_only=True)
class Watched:
    """A call whose answer's body was read by the caller, or not, while it was watched."""

    progress: CallInProgress
    latency_ms: int
    http_status: int
    watch: BodyWatch
    content_type: str
    content_encoding: str
    provider_request_id: str | None
    api_key: str | None = field(repr=False)
    sent_bytes: int = 0

    @property
    def request_id(self) -> str:
        """Identity of the entry it will become."""
        return self.progress.request_id

    @property
    def retained_bytes(self) -> int:
        """Bytes of request and answer it holds on to, about."""
        held = self.sent_bytes + self.watch.kept_bytes
        return _BASE_BYTES + held + retained_bytes(self.progress.context.metadata)

    def read(self) -> Call:
        """The call, as far as its answer came."""
        call = self.progress.as_call("success", self.latency_ms)
        call.http_status = self.http_status
        call.provider_request_id = self.provider_request_id
        call.api_key = self.api_key
        complete = self._read_events(call) if self.progress.streamed else self._read_whole(call)
        if call.status == "success" and not complete:
            call.status = "aborted"
            call.error_type = self._why_incomplete()
            if self.watch.error is not None:
                call.error_message = str(self.watch.error)
        return call

    def _read_events(self, call: Call) -> bool:
        """Take what the events said; true when the caller had the whole answer."""
        folded = FoldedStream()
        for event in read_events(self.watch.chunks, self.content_type, self.content_encoding):
            folded.add(event)
        messages_api.read_message(call, folded.result())
        if folded.first_token_ms is not None:
            call.time_to_first_token_ms = round(folded.first_token_ms)
        if folded.error is not None:
            call.status = "error"
            messages_api.read_error(call, folded.error)
            call.error_type = call.error_type or "error"
        taken = self.watch.exhausted or self.watch.last_event_taken or not self.watch.events_watched
        return folded.complete and taken and self.watch.error is None

    def _read_whole(self, call: Call) -> bool:
        """Take what a body that is no stream says; true when all of it was read."""
        body = decompress(b"".join(data for _time, data in self.watch.chunks), self.content_encoding)
        try:
            messages_api.read_message(call, json.loads(body))
        except (ValueError, RecursionError):
            return False
        return True

    def _why_incomplete(self) -> str:
        if self.watch.error is not None:
            return type(self.watch.error).__name__
        return "truncated_stream" if self.watch.exhausted else "closed_early"


def _at(unix_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)
