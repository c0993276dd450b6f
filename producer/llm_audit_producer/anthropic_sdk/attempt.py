"""One HTTP attempt of a call: what came of it, and whether that ends the call.

Every method that the middleware calls is guarded: a fault here is counted and said, and never reaches the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from llm_audit_producer.anthropic_sdk import client_facts
from llm_audit_producer.anthropic_sdk.body_watch import (
    BodyWatch,
    watch_body,
    watch_events,
    watch_events_async,
)
from llm_audit_producer.anthropic_sdk.exchange import Answered, Broken, CallInProgress, Watched
from llm_audit_producer.anthropic_sdk.parked_calls import ParkedCalls
from llm_audit_producer.audit_logger import AuditLogger
from llm_audit_producer.call import Captured
from llm_audit_producer.context import CallContext
from llm_audit_producer.errors import AuditUnavailable

_HTTP_ERROR = 400


class Body(Enum):
    """What is to become of a response's body."""

    READ = auto()
    """It is here already."""
    FOR_CALLER = auto()
    """The caller will read it, so it is watched."""
    ERROR_TO_READ = auto()
    """It holds the error that the SDK is about to read and raise."""
    RETRIED = auto()
    """Nobody will read it."""


class Attempt:
    """One attempt of ``progress``.

    Args:
        logger: Records the call when this attempt ends it.
        parked: Holds the call when the SDK retries it.
        progress: The call.
        client: The SDK client, where it could be found.
        key: The call's idempotency key, the same over its attempts.
        may_retry: Whether the SDK has retries left.
    """

    def __init__(
        self,
        logger: AuditLogger,
        parked: ParkedCalls,
        progress: CallInProgress,
        *,
        client: object | None,
        key: str | None,
        may_retry: bool,
    ) -> None:
        self._logger = logger
        self._parked = parked
        self._progress = progress
        self._client = client
        self._key = key
        self._may_retry = may_retry

    def is_of(self, logger: AuditLogger, key: str | None) -> bool:
        """Whether it is this logger's attempt of the call with this idempotency key."""
        return self._logger is logger and self._key == key

    def lay_over(self, asking: CallContext) -> None:
        """Take what an inner middleware of the same call knows of who is asking."""
        self._progress.context = self._progress.context.within(asking)

    @property
    def progress(self) -> CallInProgress:
        """The call that this is an attempt of."""
        return self._progress

    def broke(self, error: BaseException) -> None:
        """The attempt raised instead of answering."""
        try:
            self._end(
                Broken(
                    progress=self._progress,
                    latency_ms=self._progress.elapsed_ms(),
                    error_type=type(error).__name__,
                    error_message=_words_of(error),
                    # Cancellation, Ctrl-C and the like are no errors, in asyncio and in any other event loop.
                    aborted=not isinstance(error, Exception),
                    api_key=_api_key(getattr(error, "request", None)),
                ),
                failure=type(error).__name__,
                retried=client_facts.retries_exception(self._client, error),
                record=self._logger.record_late,  # the caller gets its own error, whatever becomes of the entry
            )
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def expects(self, response: Any) -> Body:
        """What is to become of the response's body, which the SDK may have read already or not."""
        try:
            raw = _raw(response)
            if raw.is_closed:
                return Body.READ
            if raw.status_code < _HTTP_ERROR:
                return Body.FOR_CALLER
            return Body.RETRIED if self._is_retried(raw) else Body.ERROR_TO_READ
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)
            return Body.READ

    def answered(self, response: Any) -> None:
        """The attempt got an HTTP response whose body has been read, or never will be.

        Raises:
            AuditUnavailable: delivery is strict, and the entry of a result could not be made safe in time.
        """
        try:
            raw = _raw(response)
            failed = raw.status_code >= _HTTP_ERROR
            self._end(
                Answered(
                    progress=self._progress,
                    latency_ms=self._progress.elapsed_ms(),
                    content=raw.content if raw.is_closed else b"",
                    **_facts_of(raw),
                ),
                failure=str(raw.status_code) if failed else None,
                retried=failed and self._is_retried(raw),
                record=self._logger.record_late if failed else self._logger.record,
            )
        except AuditUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def watch(self, response: Any, *, asynchronous: bool) -> BodyWatch | None:
        """Watch the body that the caller is about to read; the call ends with it. ``None`` where that failed."""
        try:
            raw = _raw(response)
            facts = _facts_of(raw)

            def ended(watch: BodyWatch) -> None:
                record = self._logger.record if watch.error is None else self._logger.record_late
                try:
                    record(
                        Watched(
                            progress=self._progress,
                            latency_ms=self._progress.elapsed_ms(),
                            watch=watch,
                            content_type=raw_content_type,
                            content_encoding=raw_content_encoding,
                            **facts,
                        )
                    )
                except AuditUnavailable:
                    raise
                except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
                    self._logger.capture_failed(fault)

            raw_content_type = raw.headers.get("content-type", "")
            raw_content_encoding = raw.headers.get("content-encoding", "")
            watch = BodyWatch(self._progress.started_monotonic_ns, ended, may_wait=self._logger.may_wait)
            watch_body(raw, watch, asynchronous=asynchronous)
            return watch
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)
            return None

    def watch_events(self, response: Any, watch: BodyWatch) -> None:
        """Note, too, whether the caller takes the stream's last event: the SDK keeps its iterator in one attribute."""
        try:
            stream = response.parse()
            stream._iterator = watch_events(stream._iterator, watch)
            watch.events_watched = True
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    async def watch_events_async(self, response: Any, watch: BodyWatch) -> None:
        """As :meth:`watch_events`, for an asynchronous client."""
        try:
            stream = await response.parse()
            stream._iterator = watch_events_async(stream._iterator, watch)
            watch.events_watched = True
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def _end(
        self,
        ending: Captured,
        *,
        failure: str | None,
        retried: bool,
        record: Callable[[Captured], None],
    ) -> None:
        if failure is not None:
            self._progress.failures.append(failure)
        if retried and self._may_retry and self._key:
            self._parked.park(self._key, self._progress, ending)
            self._logger.wake()
        else:
            record(ending)

    def _is_retried(self, raw: Any) -> bool:
        return self._may_retry and client_facts.retries_response(self._client, raw)


def _words_of(error: BaseException) -> str:
    """The SDK says only "Connection error." where the exception behind it knows more."""
    cause = error.__cause__
    return str(error) if cause is None else f"{error} ({type(cause).__name__}: {cause})"


def _raw(response: Any) -> Any:
    """The HTTP response, within the SDK's wrapper or (``cast_to`` a response class) bare."""
    return getattr(response, "http_response", response)


def _facts_of(raw: Any) -> dict[str, Any]:
    """What every ending with an HTTP response knows."""
    return {
        "http_status": raw.status_code,
        "provider_request_id": raw.headers.get("request-id"),
        "api_key": _api_key(raw.request),
        "sent_bytes": int(raw.request.headers.get("content-length") or 0),
    }


def _api_key(http_request: Any) -> str | None:
    headers = getattr(http_request, "headers", None) or {}
    key = headers.get("x-api-key") or headers.get("authorization")
    if not isinstance(key, str) or key.startswith("AWS4-"):  # a signature is another one for each request
        return None
    return key
