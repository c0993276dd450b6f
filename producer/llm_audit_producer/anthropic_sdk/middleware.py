"""``Audit``: the one line a service adds, ``client = Anthropic().with_middleware(audit)``.

The SDK runs a middleware once per HTTP attempt, inside its own retry loop, and an exception that a middleware raises
reaches the caller. So everything here is guarded: a fault of ours is counted and said, and the call goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import anthropic
from anthropic import APIRequest, Middleware
from anyio import to_thread

from llm_audit_producer import context, messages_api, tracing
from llm_audit_producer.anthropic_sdk import client_facts, tool_runs
from llm_audit_producer.anthropic_sdk.attempt import Attempt, Body
from llm_audit_producer.anthropic_sdk.batches import BatchReading, KnownBatches, batch_read_by
from llm_audit_producer.anthropic_sdk.exchange import CallInProgress
from llm_audit_producer.anthropic_sdk.parked_calls import ParkedCalls
from llm_audit_producer.anthropic_sdk.redaction import Redaction
from llm_audit_producer.audit_logger import AuditLogger
from llm_audit_producer.context import CallContext
from llm_audit_producer.errors import AuditSettingsError, UserRequiredError
from llm_audit_producer.manual_call import ManualCall
from llm_audit_producer.sanitizing import Sanitizer
from llm_audit_producer.sinks import AuditSink

_SDK = f"anthropic/{anthropic.__version__}"

_ACTIONS = {
    "/v1/messages": "messages.create",
    "/v1/messages/batches": "messages.batches.create",
    "/v1/complete": "completions.create",
}
"""Paths that are model calls. Counting tokens, listing models and moving files ask no model anything."""

_outer: ContextVar[Attempt | BatchReading | None] = ContextVar("llm_audit_outer_attempt", default=None)
"""The attempt within which this code runs, so that a middleware added twice still makes one entry."""


class Audit(Middleware):
    """Captures every model call of the client it is given to.

    Args:
        audit_logger: The logger that records; a new one, set up from the environment, when not given.
        sink: Where that new logger's entries go; Kafka when not given.
        sanitizer: Sees each request before it leaves, may rewrite it and may stop it.
        sanitizer_fail_open: Send a request as it is when the sanitizer itself fails. By default the call is stopped.
        settings: Settings of that new logger, by name (see ``ProducerSettings``).

    Raises:
        AuditSettingsError: a setting cannot be used.
    """

    def __init__(
        self,
        audit_logger: AuditLogger | None = None,
        *,
        sink: AuditSink | None = None,
        sanitizer: Sanitizer | None = None,
        sanitizer_fail_open: bool = False,
        **settings: Any,
    ) -> None:
        if audit_logger is not None and (sink is not None or settings):
            given = ", ".join(sorted({*settings, *(["sink"] if sink is not None else [])}))
            raise AuditSettingsError(f"a logger was given, and {given} beside it; give that to the logger")
        self.logger = audit_logger if audit_logger is not None else AuditLogger(sink, **settings)
        self._parked = self.logger.shared("parked_calls", self._new_parked_calls)
        self._laid_over = context.NOBODY
        self._redaction: Redaction | None = None
        if sanitizer is not None:
            self._redaction = Redaction(self.logger, sanitizer, fail_open=sanitizer_fail_open)

    def _new_parked_calls(self) -> ParkedCalls:
        parked = ParkedCalls(self.logger.record_late)
        self.logger.every_few_seconds(parked.settle)
        return parked

    def context(
        self,
        user_id: object = None,
        *,
        tenant: object = None,
        session_id: object = None,
        run_id: object = None,
        metadata: Mapping[str, object] | None = None,
    ) -> AbstractContextManager[CallContext]:
        """Say who is asking, for every call within the block: see :meth:`AuditLogger.context`."""
        return self.logger.context(
            user_id, tenant=tenant, session_id=session_id, run_id=run_id, metadata=metadata
        )

    def call(self, user_id: object = None, **facts: Any) -> ManualCall:
        """A block that is one call of another SDK or provider: see :meth:`AuditLogger.call`."""
        return self.logger.call(user_id, **facts)

    def on_behalf_of(self, user_id: object, **more: Any) -> Audit:
        """A middleware of the same logger whose calls are this user's whatever the context says.

        For one client per user: ``client = plain_client.with_middleware(audit.on_behalf_of("u-17"))``.
        """
        other = Audit(self.logger)
        other._laid_over = context.describe(user_id, **more)
        other._redaction = self._redaction
        return other

    def flush(self, timeout: float = 10.0) -> int:
        """Wait until every entry so far is delivered: see :meth:`AuditLogger.flush`."""
        return self.logger.flush(timeout)

    def close(self, timeout: float | None = None) -> int:
        """Drain and stop: see :meth:`AuditLogger.close`."""
        return self.logger.close(timeout)

    # The SDK's seam

    def handle(self, request: APIRequest, call_next: Callable[..., Any]) -> Any:
        """One HTTP attempt of a synchronous client."""
        attempt = self._begin(request, call_next)
        if self._redaction is not None:
            request = self._redaction.apply(request, attempt.progress if attempt else None)
        if attempt is None:
            return call_next(request)
        token = _outer.set(attempt)
        try:
            response = call_next(request)
        except BaseException as error:
            attempt.broke(error)
            raise
        finally:
            _outer.reset(token)
        body = attempt.expects(response)
        if body is Body.FOR_CALLER:
            watch = attempt.watch(response, asynchronous=False)
            if watch is not None and _has_events(request, response):
                attempt.watch_events(response, watch)
            return response
        if body is Body.ERROR_TO_READ:
            try:
                response.http_response.read()
            except BaseException as error:
                attempt.broke(error)
                raise
        attempt.answered(response)
        return response

    async def handle_async(self, request: APIRequest, call_next: Callable[..., Awaitable[Any]]) -> Any:
        """One HTTP attempt of an asynchronous client."""
        attempt = self._begin(request, call_next)
        if self._redaction is not None:
            request = await self._redaction.apply_async(request, attempt.progress if attempt else None)
        if attempt is None:
            return await call_next(request)
        token = _outer.set(attempt)
        try:
            response = await call_next(request)
        except BaseException as error:
            attempt.broke(error)
            raise
        finally:
            _outer.reset(token)
        body = attempt.expects(response)
        if body is Body.FOR_CALLER:
            watch = attempt.watch(response, asynchronous=True)
            if watch is not None and _has_events(request, response):
                await attempt.watch_events_async(response, watch)
            return response
        if body is Body.ERROR_TO_READ:
            try:
                await response.http_response.aread()
            except BaseException as error:
                attempt.broke(error)
                raise
        if self.logger.may_wait:
            await to_thread.run_sync(attempt.answered, response)
        else:
            attempt.answered(response)
        return response

    def _begin(self, request: APIRequest, call_next: Callable[..., Any]) -> Attempt | BatchReading | None:
        """The attempt to capture, or ``None`` where there is nothing to capture.

        Raises:
            UserRequiredError: nobody is named and the settings require it; nothing was sent.
        """
        if not self.logger.enabled:
            return None
        try:
            outer = _outer.get()
            if outer is not None and outer.is_of(self.logger, request.options.idempotency_key):
                outer.lay_over(self._laid_over)
                return None
            return self._attempt(request, call_next)
        except UserRequiredError:
            raise
        except Exception as error:  # noqa: BLE001 - counted and said; the caller must not notice
            self.logger.capture_failed(error)
            return None

    def _attempt(self, request: APIRequest, call_next: Callable[..., Any]) -> Attempt | BatchReading | None:
        reads = batch_read_by(request.method, request.url)
        if reads is not None:
            return self._batch_reading(request, reads, call_next)
        action = _action_of(request)
        if action is None:
            return None
        client = client_facts.find_client(call_next)
        key = request.options.idempotency_key
        progress = self._parked.resume(key) if key else None
        if progress is None:
            progress = self._new_call(request, action, client)
        else:
            progress.attempts += 1
        self.logger.note_request_id(progress.request_id)
        return Attempt(
            self.logger,
            self._parked,
            progress,
            client=client,
            key=key,
            may_retry=client_facts.retries_left(client, request.max_retries, request.retries_taken),
        )

    def _batch_reading(
        self, request: APIRequest, reads: tuple[str, bool], call_next: Callable[..., Any]
    ) -> BatchReading:
        batch_id, results = reads
        asking = context.current().within(self._laid_over)
        if results:
            asking = self.logger.attribute(asking)
        beta = "beta." if _is_beta(request, request.url.partition("?")[2]) else ""
        return BatchReading(
            self.logger,
            self.logger.shared("known_batches", KnownBatches),
            batch_id,
            asking=asking,
            provider=client_facts.provider_of(client_facts.find_client(call_next)),
            action=f"{beta}messages.batches.result",
            sdk=_SDK,
        )

    def _new_call(self, request: APIRequest, action: str, client: object | None) -> CallInProgress:
        asking = context.current().within(self._laid_over)
        body = client_facts.body_of(client, request)
        asking = self.logger.attribute(asking, messages_api.requested_user(body))
        if asking.run_id is None:
            asking = replace(asking, run_id=tool_runs.run_id_of(request.headers))
        trace_id, span_id = tracing.current_ids()
        return CallInProgress(
            provider=client_facts.provider_of(client),
            action=action,
            context=asking,
            body=body,
            streamed=request.stream,
            sdk=_SDK,
            attempts=request.retries_taken + 1,
            trace_id=trace_id,
            span_id=span_id,
            region=client_facts.region_of(client),
        )


def _has_events(request: APIRequest, response: Any) -> bool:
    """Whether the SDK makes a stream of events of the response; making it early reads nothing, and it is kept."""
    return request.stream and hasattr(response, "parse")


def _action_of(request: APIRequest) -> str | None:
    """What the request calls, in the SDK's own words; ``None`` where it is no model call."""
    if request.method.lower() != "post":
        return None
    path, _, query = request.url.partition("?")
    action = _ACTIONS.get(path)
    if action == "messages.create":
        action = f"messages.{_helper_of(request)}"
    return f"beta.{action}" if action and _is_beta(request, query) else action


def _is_beta(request: APIRequest, query: str) -> bool:
    """Whether it is the beta API: said in the URL by older SDKs, beside it by newer ones."""
    qualifiers = getattr(request.options, "qualifiers", None) or {}
    return "beta=true" in query or qualifiers.get("beta") == "true"


def _helper_of(request: APIRequest) -> str:
    """The SDK's method, as its own telemetry headers tell it."""
    headers = {name.lower(): value for name, value in request.headers.items() if isinstance(value, str)}
    if headers.get("x-stainless-helper-method") == "stream" or "x-stainless-stream-helper" in headers:
        return "stream"
    return "parse" if "messages.parse" in headers.get("x-stainless-helper", "") else "create"
