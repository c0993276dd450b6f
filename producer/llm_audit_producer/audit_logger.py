"""``AuditLogger``: records model calls, whoever makes them.

The middleware for Anthropic's SDK stands on it, and so can any other caller: :meth:`AuditLogger.log_request` and
:meth:`AuditLogger.log_error` after a call made another way. Nothing here raises because auditing fails.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from llm_audit_producer import context
from llm_audit_producer.call import ABSENT, Call, Captured, CapturedCall
from llm_audit_producer.composition import default_sink, entry_builder
from llm_audit_producer.context import CallContext
from llm_audit_producer.errors import UserRequiredError
from llm_audit_producer.loose_arguments import Arguments
from llm_audit_producer.recorder import Recorder, Tick
from llm_audit_producer.settings import ProducerSettings
from llm_audit_producer.sinks import AuditSink
from llm_audit_producer.statistics import StatisticsSnapshot
from llm_audit_schemas import request_id_at

logger = logging.getLogger("llm_audit_producer")

_last_request_id: ContextVar[str | None] = ContextVar("llm_audit_last_request_id", default=None)


class AuditLogger:
    """Records model calls through a sink, from a thread of its own.

    Args:
        storage: Where entries go: a ``KafkaSink`` (made from the settings when not given), ``FileAuditStorage``,
            ``PostgresAuditStorage`` or ``MemorySink``.
        settings: Settings by name, laid over the environment's (see ``ProducerSettings``).

    Raises:
        AuditSettingsError: a setting cannot be used.
    """

    def __init__(self, storage: AuditSink | None = None, **settings: object) -> None:
        self._settings = ProducerSettings.from_environment(os.environ, **settings)
        self._recorder = Recorder(
            storage if storage is not None else default_sink(self._settings),
            entry_builder(self._settings).build,
            queue_entries=self._settings.queue_entries,
            queue_bytes=self._settings.queue_bytes,
            drain_seconds=self._settings.drain_seconds,
        )
        _say_what_is_off(self._settings)

    @property
    def enabled(self) -> bool:
        """Whether auditing is on."""
        return self._settings.enabled

    @property
    def producer_id(self) -> str:
        """Identity of this process's life as a producer; another one after fork."""
        return self._recorder.producer_id

    @property
    def last_request_id(self) -> str | None:
        """The audit request_id of the last call that this thread or task began."""
        return _last_request_id.get()

    def context(
        self,
        user_id: object = None,
        *,
        tenant: object = None,
        session_id: object = None,
        run_id: object = None,
        metadata: Mapping[str, object] | None = None,
    ) -> AbstractContextManager[CallContext]:
        """Say who is asking, for every call within the block, in this thread or task and the tasks it starts.

        Blocks nest: what an inner one does not say, the outer one still says; metadata is merged.
        """
        return context.enter(context.describe(user_id, tenant, session_id, run_id, metadata))

    def log_request(
        self,
        user_id: object = None,
        model: object = None,
        action: object = "messages.create",
        system_prompt: object = None,
        input_text: object = None,
        output_text: object = None,
        usage: object = None,
        latency_ms: object = None,
        sanitization_count: object = 0,
        metadata: Mapping[str, object] | None = None,
        **more: object,
    ) -> str:
        """Record a call that was answered.

        Values that cannot be used are left out and named in the entry's ``details.invalid``; nothing is raised.

        Args:
            user_id: Who asked; the context's user when not given.
            model: The model that answered.
            action: What was called.
            system_prompt: The system prompt: text, or the API's blocks. Only its hash is kept.
            input_text: What was asked: text, or the API's messages. Only its hash is kept.
            output_text: What was answered: text, or the API's content blocks. Only its hash is kept.
            usage: The API's usage block, as a mapping or the SDK's object.
            latency_ms: How long the call took.
            sanitization_count: Redactions made before sending.
            metadata: Whatever else belongs to the call.
            **more: Any other plain field of the entry, such as ``input_tokens``, ``output_tokens``,
                ``thinking_tokens``, ``provider``, ``requested_model``, ``stop_reason``, ``session_id``.

        Returns:
            The entry's request_id.

        Raises:
            UserRequiredError: nobody is named, and the settings require it.
        """
        arguments = Arguments(
            {
                **more,
                "user_id": user_id,
                "model": model,
                "action": action,
                "latency_ms": latency_ms,
                "sanitization_count": sanitization_count,
                "metadata": metadata,
            }
        )
        call = self._loose_call("success", arguments)
        arguments.read_usage(call, usage)
        call.system = ABSENT if system_prompt is None else system_prompt
        call.input = ABSENT if input_text is None else input_text
        call.output = ABSENT if output_text is None else output_text
        return self._record_loose(call, arguments)

    def log_error(
        self,
        user_id: object = None,
        model: object = None,
        action: object = "messages.create",
        error: object = None,
        latency_ms: object = None,
        metadata: Mapping[str, object] | None = None,
        **more: object,
    ) -> str:
        """Record a call that failed; arguments as for :meth:`log_request`.

        Args:
            user_id: Who asked; the context's user when not given.
            model: The model that was asked.
            action: What was called.
            error: The exception, or its text.
            latency_ms: How long the call took.
            metadata: Whatever else belongs to the call.
            **more: Any other plain field of the entry, such as ``http_status`` or ``status="blocked"``; and
                ``system_prompt`` and ``input_text`` for their hashes.

        Returns:
            The entry's request_id.

        Raises:
            UserRequiredError: nobody is named, and the settings require it.
        """
        system_prompt, input_text = more.pop("system_prompt", None), more.pop("input_text", None)
        arguments = Arguments(
            {
                **more,
                "user_id": user_id,
                "model": model,
                "action": action,
                "latency_ms": latency_ms,
                "metadata": metadata,
            }
        )
        call = self._loose_call("error", arguments)
        call.error_type = call.error_type or (
            type(error).__name__ if isinstance(error, BaseException) else "error"
        )
        call.error_message = call.error_message or arguments.text_of(error)
        call.system = ABSENT if system_prompt is None else system_prompt
        call.input = ABSENT if input_text is None else input_text
        return self._record_loose(call, arguments)

    def flush(self, timeout: float = 10.0) -> int:
        """Wait up to ``timeout`` seconds until every entry so far is delivered or lost; returns how many are not."""
        return self._recorder.flush(timeout)

    def close(self, timeout: float | None = None) -> int:
        """Drain within ``timeout`` seconds (the setting ``drain_seconds`` when not given) and stop for good.

        The end of the process does this by itself. Returns how many entries could not be drained.
        """
        return self._recorder.close(timeout)

    def statistics(self) -> StatisticsSnapshot:
        """What was captured, delivered and lost so far."""
        return self._recorder.statistics()

    # For captures, such as the middleware

    def record(self, captured: Captured) -> None:
        """Record something captured; never waits, never raises."""
        self._recorder.submit(captured)

    def attribute(self, asking: CallContext, fallback_user: object = None) -> CallContext:
        """``asking`` with a user from elsewhere where it names none; a call without any is counted.

        Raises:
            UserRequiredError: nobody is named, and the settings require it.
        """
        asking = context.attributed(asking, fallback_user)
        if asking.user_id is None:
            self._recorder.statistics_counters.count("unattributed")
            if self._settings.require_user:
                raise UserRequiredError(
                    "nobody is named for this call and require_user is set; "
                    "wrap it in `with audit.context(user_id=...)`"
                )
        return asking

    def note_request_id(self, request_id: str) -> None:
        """Make ``request_id`` this thread's or task's :attr:`last_request_id`."""
        _last_request_id.set(request_id)

    def capture_failed(self, error: Exception) -> None:
        """Count a fault of ours, and say it once for each kind."""
        if self._recorder.statistics_counters.count_capture_error(error):
            logger.error("llm-audit: a call could not be captured; please report this", exc_info=error)

    def every_few_seconds(self, tick: Tick) -> None:
        """Have ``tick`` called now and then while calls are recorded, and at the end."""
        self._recorder.every_few_seconds(tick)

    def wake(self) -> None:
        """Make sure that ticks come."""
        self._recorder.wake()

    def _loose_call(self, status: str, arguments: Arguments) -> Call:
        latency = arguments.milliseconds("latency_ms")
        started_at = datetime.now(UTC) - timedelta(milliseconds=latency or 0)
        call = Call(
            request_id=request_id_at(started_at),
            started_at=started_at,
            provider="unknown",
            action="unknown",
            status=status,
            latency_ms=latency,
        )
        arguments.fill(call)
        return call

    def _record_loose(self, call: Call, arguments: Arguments) -> str:
        call.context = self.attribute(context.current().within(arguments.context()))
        call.invalid = arguments.invalid
        self.note_request_id(call.request_id)
        if self.enabled:
            self.record(CapturedCall(call, arguments.retained_bytes(call)))
        return call.request_id


def _say_what_is_off(settings: ProducerSettings) -> None:
    if not settings.enabled:
        logger.warning("llm-audit: auditing is OFF (LLM_AUDIT_ENABLED or enabled=False); no call is recorded")
    elif settings.hash_key is None:
        logger.warning(
            "llm-audit: no hash key is set, so nothing is kept of any content; "
            "set LLM_AUDIT_HASH_KEY to NAME:BASE64-SECRET to keep keyed hashes"
        )
