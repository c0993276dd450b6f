"""``AuditLogger``: records model calls, whoever makes them.

The middleware for Anthropic's SDK stands on it, and so can any other caller: :meth:`AuditLogger.log_request` and
:meth:`AuditLogger.log_error` after a call made another way. Nothing here raises because auditing fails.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llm_audit_producer import context
from llm_audit_producer.call import Call, Captured, CapturedCall
from llm_audit_producer.composition import content_sink, entry_builder, load_prices, producer_facts, sink_for
from llm_audit_producer.context import CallContext
from llm_audit_producer.errors import AuditUnavailable, UserRequiredError
from llm_audit_producer.faults import say
from llm_audit_producer.logged_call import logged_call, take_content
from llm_audit_producer.loose_arguments import Arguments
from llm_audit_producer.manual_call import ManualCall
from llm_audit_producer.recorder import Recorder, Tick
from llm_audit_producer.settings import ProducerSettings
from llm_audit_producer.sinks import AuditSink
from llm_audit_producer.statistics import StatisticsSnapshot

if TYPE_CHECKING:
    from llm_audit_producer.content.sink import ContentStatistics

logger = logging.getLogger("llm_audit_producer")

Shared = TypeVar("Shared")


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
        self._last_request_id: ContextVar[str | None] = ContextVar("llm_audit_last_request_id", default=None)
        self._shared: dict[str, object] = {}
        self._content = content_sink(self._settings, storage)
        builder = entry_builder(self._settings, self._content)
        self._recorder = Recorder(
            sink_for(self._settings, storage),
            builder.build,
            facts=producer_facts(self._settings),
            queue_entries=self._settings.queue_entries,
            queue_bytes=self._settings.queue_bytes,
            drain_seconds=self._settings.drain_seconds,
            warm_up=partial(load_prices, builder),
        )
        if self.enabled and self.may_wait:
            self._recorder.wake()  # callers make entries themselves, and had better find everything loaded
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
        return self._last_request_id.get()

    def context(
        self,
        user_id: object = None,
        *,
        tenant: object = None,
        session_id: object = None,
        run_id: object = None,
        metadata: Mapping[str, object] | None = None,
        content_mode: object = None,
    ) -> AbstractContextManager[CallContext]:
        """Say who is asking, for every call within the block, in this thread or task and the tasks it starts.

        Blocks nest: what an inner one does not say, the outer one still says; metadata is merged. ``content_mode``
        (``none``, ``hash``) has less kept of the calls' content than the producer's setting says, never more.
        """
        return context.enter(context.describe(user_id, tenant, session_id, run_id, metadata, content_mode))

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
            AuditUnavailable: delivery is strict, and the entry could not be made safe in time.
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
        call = logged_call("success", arguments)
        arguments.read_usage(call, usage)
        if self._keeps_content:
            take_content(call, system_prompt, input_text, output_text)
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
            **more: Any other plain field of the entry, such as ``http_status`` or ``status="blocked"``; ``usage`` or
                single counts, where some were reported; ``system_prompt``, ``input_text`` and ``output_text`` for
                their hashes.

        Returns:
            The entry's request_id.

        Raises:
            UserRequiredError: nobody is named, and the settings require it.
        """
        content = [more.pop(name, None) for name in ("system_prompt", "input_text", "output_text")]
        usage = more.pop("usage", None)
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
        call = logged_call("error", arguments)
        call.error_type = call.error_type or (
            type(error).__name__ if isinstance(error, BaseException) else "error"
        )
        call.error_message = call.error_message or arguments.text_of(error)
        arguments.read_usage(call, usage)
        if self._keeps_content:
            take_content(call, *content)
        return self._record_loose(call, arguments)

    def call(self, user_id: object = None, **facts: Any) -> ManualCall:
        """A block that is one call made another way than through Anthropic's SDK: see ``manual_call``.

        Args:
            user_id: Who asks; the context's user when not given.
            **facts: What is known beforehand, by the names of :meth:`log_request`: ``provider``, ``model``,
                ``action``, ``system_prompt``, ``input_text`` and any other plain field. The model given here is the
                one that is asked, and is taken for the one that answers where the answer names none.
        """
        return ManualCall(self, {"requested_model": facts.get("model"), **facts, "user_id": user_id})

    def flush(self, timeout: float = 10.0) -> int:
        """Wait up to ``timeout`` seconds until every entry so far is delivered or lost; returns how many are not."""
        deadline = time.monotonic() + timeout
        left = self._recorder.flush(timeout)
        if self._content is not None:
            self._content.flush(max(0.0, deadline - time.monotonic()))
        return left

    def close(self, timeout: float | None = None) -> int:
        """Drain within ``timeout`` seconds (the setting ``drain_seconds`` when not given) and stop for good.

        The end of the process does this by itself. Returns how many entries could not be drained.
        """
        seconds = self._settings.drain_seconds if timeout is None else timeout
        deadline = time.monotonic() + seconds
        lost = self._recorder.close(seconds)
        if self._content is not None:
            self._content.close(max(0.0, deadline - time.monotonic()))
        return lost

    def statistics(self) -> StatisticsSnapshot:
        """What was captured, delivered and lost so far."""
        return self._recorder.statistics()

    def content_statistics(self) -> ContentStatistics | None:
        """What became of encrypted content so far; ``None`` where this producer keeps none."""
        return None if self._content is None else self._content.statistics()

    # For captures, such as the middleware

    @property
    def _keeps_content(self) -> bool:
        return self._settings.hash_key is not None or self._content is not None

    @property
    def may_wait(self) -> bool:
        """Whether :meth:`record` may touch the disk or wait, so that an event loop had better not call it."""
        return self._settings.durability != "memory"

    def record(self, captured: Captured) -> None:
        """Record something captured. In ``memory`` mode it never waits; only in ``strict`` mode does it raise.

        Raises:
            AuditUnavailable: the entry was neither spooled nor delivered in time.
        """
        if self._settings.durability != "strict":
            self._recorder.submit(captured)
        elif not self._recorder.submit_and_wait(captured, self._settings.strict_seconds):
            raise AuditUnavailable(
                captured.request_id, f"it was not safe within {self._settings.strict_seconds:g} s"
            )

    def record_late(self, captured: Captured) -> None:
        """Record something whose caller is gone, or gets an exception anyway; never waits for delivery or raises."""
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

    def asking(self, said: CallContext) -> CallContext:
        """Who is asking now, with ``said`` laid over the context.

        Raises:
            UserRequiredError: nobody is named, and the settings require it.
        """
        asking = context.current().within(said)
        if asking.user_id is None and self.enabled and self._settings.require_user:
            return self.attribute(asking)  # which counts it, and raises
        return asking

    def note_request_id(self, request_id: str) -> None:
        """Make ``request_id`` this thread's or task's :attr:`last_request_id`."""
        self._last_request_id.set(request_id)

    def capture_failed(self, error: Exception) -> None:
        """Count a fault of ours, and say it once for each kind."""
        if self._recorder.statistics_counters.count_capture_error(error):
            # Not the error's own words, nor those of the errors before it: they may hold content.
            say("a call could not be captured; please report this", error)

    def every_few_seconds(self, tick: Tick) -> None:
        """Have ``tick`` called now and then while calls are recorded, and at the end."""
        self._recorder.every_few_seconds(tick)

    def wake(self) -> None:
        """Make sure that ticks come."""
        self._recorder.wake()

    def shared(self, name: str, make: Callable[[], Shared]) -> Shared:
        """What every capture of one kind has in common, such as its unfinished calls; made when first asked for."""
        found = self._shared.get(name)
        if found is None:
            found = self._shared.setdefault(name, make())
        return cast("Shared", found)

    def _record_loose(self, call: Call, arguments: Arguments) -> str:
        if self.enabled:
            call.context = self.attribute(context.current().within(arguments.context()))
            call.invalid = arguments.invalid
            captured = CapturedCall(call, arguments.retained_bytes(call))
            if call.status == "success":
                self.record(captured)
            else:  # there is no result to withhold
                self.record_late(captured)
        self.note_request_id(call.request_id)
        return call.request_id


def _say_what_is_off(settings: ProducerSettings) -> None:
    if not settings.enabled:
        logger.warning("llm-audit: auditing is OFF (LLM_AUDIT_ENABLED or enabled=False); no call is recorded")
    elif settings.hash_key is None and settings.content_mode is None:
        logger.warning(
            "llm-audit: no hash key is set, so nothing is kept of any content; "
            "set LLM_AUDIT_HASH_KEY to NAME:BASE64-SECRET to keep keyed hashes"
        )
