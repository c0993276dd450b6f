"""Runs the service's sanitizer on what is about to leave, and stops the call where the sanitizer says so or fails.

The sanitizer sees a request once, before its first attempt; the attempts that follow send what it made of it then. It
runs whether auditing is on or off: switching the trail off must not send out what it held back.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Mapping
from typing import Any

from anthropic import APIRequest

from llm_audit_producer.anthropic_sdk.exchange import Blocked, CallInProgress
from llm_audit_producer.audit_logger import AuditLogger
from llm_audit_producer.errors import AuditBlocked
from llm_audit_producer.sanitizing import Block, Sanitized, Sanitizer

_SENDS_CONTENT = ("/v1/messages", "/v1/complete")
"""Where content leaves; counting tokens and message batches are below the first."""


class Redaction:
    """A sanitizer in front of one logger's calls.

    Args:
        logger: Records the calls that are stopped.
        sanitizer: Looks at the request.
        fail_open: Send the request as it is when the sanitizer itself fails, instead of stopping the call.
    """

    def __init__(self, logger: AuditLogger, sanitizer: Sanitizer, *, fail_open: bool) -> None:
        self._logger = logger
        self._sanitizer = sanitizer
        self._fail_open = fail_open

    def apply(self, request: APIRequest, progress: CallInProgress | None) -> APIRequest:
        """The request to send instead.

        Raises:
            AuditBlocked: it must not be sent.
        """
        if not _sends_content(request):
            return request
        if progress is not None and progress.sanitized:
            return request.copy(body=progress.body)
        return self._sent(request, progress, [self._ask(part, progress) for part in _parts(request.json)])

    async def apply_async(self, request: APIRequest, progress: CallInProgress | None) -> APIRequest:
        """As :meth:`apply`; waits for an asynchronous sanitizer.

        Raises:
            AuditBlocked: it must not be sent.
        """
        if not _sends_content(request):
            return request
        if progress is not None and progress.sanitized:
            return request.copy(body=progress.body)
        return self._sent(
            request, progress, [await self._ask_async(part, progress) for part in _parts(request.json)]
        )

    def _ask(self, body: Mapping[str, Any], progress: CallInProgress | None) -> Sanitized:
        try:
            return _checked(self._sanitizer(body))
        except Exception as error:  # noqa: BLE001 - whatever a sanitizer raises is a verdict or a failure
            return self._failed(error, body, progress)

    async def _ask_async(self, body: Mapping[str, Any], progress: CallInProgress | None) -> Sanitized:
        try:
            answer = self._sanitizer(body)
            return _checked(await answer if inspect.isawaitable(answer) else answer)
        except Exception as error:  # noqa: BLE001 - whatever a sanitizer raises is a verdict or a failure
            return self._failed(error, body, progress)

    def _failed(
        self, error: Exception, body: Mapping[str, Any], progress: CallInProgress | None
    ) -> Sanitized:
        """A sanitizer's verdict or failure: the body as it is when that is allowed.

        Raises:
            AuditBlocked: the call stops.
        """
        if not isinstance(error, Block):
            self._logger.capture_failed(error)
            if self._fail_open:
                return Sanitized(body, {"sanitizer_failed": 1})
        verdict = (
            error if isinstance(error, Block) else Block(f"the sanitizer failed: {type(error).__name__}")
        )
        if progress is not None:
            progress.note_sanitized(progress.body, verdict.events)
            self._logger.record_late(  # the caller hears of the verdict, whatever becomes of the entry
                Blocked(progress=progress, reason=verdict.reason, latency_ms=progress.elapsed_ms())
            )
        raise AuditBlocked(verdict.reason, progress.request_id if progress else None) from None

    def _sent(
        self, request: APIRequest, progress: CallInProgress | None, parts: list[Sanitized]
    ) -> APIRequest:
        events: dict[str, int] = {}
        for part in parts:
            for kind, count in part.events.items():
                events[kind] = events.get(kind, 0) + count
        body = _joined(request.json, [part.body for part in parts])
        if progress is not None:
            progress.note_sanitized(body, events)
        return request if body is request.json else request.copy(body=body)


def _sends_content(request: APIRequest) -> bool:
    path = request.url.partition("?")[0]
    sends = any(path == each or path.startswith(f"{each}/") for each in _SENDS_CONTENT)
    return sends and request.method.lower() == "post" and isinstance(request.json, Mapping)


def _parts(body: Any) -> list[Mapping[str, Any]]:
    """The requests in a body: itself, or those of a message batch."""
    requests = body.get("requests")
    if not isinstance(requests, list):
        return [body]
    return [
        each["params"]
        for each in requests
        if isinstance(each, Mapping) and isinstance(each.get("params"), Mapping)
    ]


def _joined(body: Any, parts: list[Mapping[str, Any]]) -> Any:
    """The body with its requests replaced; the very same where nothing changed."""
    before = _parts(body)
    if all(new is old for new, old in zip(parts, before, strict=True)):
        return body
    if before == [body]:
        return dict(parts[0])
    remaining = iter(parts)
    requests = [
        {**each, "params": dict(next(remaining))}
        if isinstance(each, Mapping) and isinstance(each.get("params"), Mapping)
        else each
        for each in body["requests"]
    ]
    return {**body, "requests": requests}


def _checked(answer: object) -> Sanitized:
    if inspect.isawaitable(answer):
        _discard(answer)
        raise TypeError("an asynchronous sanitizer needs an asynchronous client")
    if not isinstance(answer, Sanitized):
        raise TypeError(f"a sanitizer must give a Sanitized, not a {type(answer).__name__}")
    return answer


def _discard(answer: Awaitable[object]) -> None:
    """Close a coroutine that nobody will await, so that Python does not warn of it."""
    close = getattr(answer, "close", None)
    if callable(close):
        close()
