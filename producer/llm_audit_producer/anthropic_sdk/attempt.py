"""One HTTP attempt of a call: what came of it, and whether that ends the call.

Every method that the middleware calls is guarded: a fault here is counted and said, and never reaches the caller.
"""

from __future__ import annotations

import asyncio
from typing import Any

from llm_audit_producer.anthropic_sdk import client_facts
from llm_audit_producer.anthropic_sdk.exchange import Answered, Broken, CallInProgress
from llm_audit_producer.anthropic_sdk.parked_calls import ParkedCalls
from llm_audit_producer.audit_logger import AuditLogger
from llm_audit_producer.call import Captured

_HTTP_ERROR = 400
_LEFT_BY_CALLER = (KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError)


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

    def broke(self, error: BaseException) -> None:
        """The attempt raised instead of answering."""
        try:
            self._end(
                Broken(
                    progress=self._progress,
                    latency_ms=self._progress.elapsed_ms(),
                    error_type=type(error).__name__,
                    error_message=str(error),
                    aborted=isinstance(error, _LEFT_BY_CALLER),
                    api_key=_api_key(getattr(error, "request", None)),
                ),
                failure=type(error).__name__,
                retried=client_facts.retries_exception(self._client, error),
            )
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def body_missing(self, response: Any) -> bool:
        """Whether an error's body must still be read, as the SDK itself does before it raises."""
        try:
            raw = _raw(response)
            return bool(raw.status_code >= _HTTP_ERROR and not raw.is_closed and not self._is_retried(raw))
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)
            return False

    def answered(self, response: Any) -> None:
        """The attempt got an HTTP response, whatever its status."""
        try:
            raw = _raw(response)
            failed = raw.status_code >= _HTTP_ERROR
            self._end(
                Answered(
                    progress=self._progress,
                    latency_ms=self._progress.elapsed_ms(),
                    http_status=raw.status_code,
                    content=raw.content if raw.is_closed else b"",
                    provider_request_id=raw.headers.get("request-id"),
                    api_key=_api_key(raw.request),
                    sent_bytes=int(raw.request.headers.get("content-length") or 0),
                ),
                failure=str(raw.status_code) if failed else None,
                retried=failed and self._is_retried(raw),
            )
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def _end(self, ending: Captured, *, failure: str | None, retried: bool) -> None:
        if failure is not None:
            self._progress.failures.append(failure)
        if retried and self._may_retry and self._key:
            self._parked.park(self._key, self._progress, ending)
            self._logger.wake()
        else:
            self._logger.record(ending)

    def _is_retried(self, raw: Any) -> bool:
        return self._may_retry and client_facts.retries_response(self._client, raw)


def _raw(response: Any) -> Any:
    """The HTTP response, within the SDK's wrapper or (``cast_to`` a response class) bare."""
    return getattr(response, "http_response", response)


def _api_key(http_request: Any) -> str | None:
    headers = getattr(http_request, "headers", None) or {}
    key = headers.get("x-api-key") or headers.get("authorization")
    return key if isinstance(key, str) else None
