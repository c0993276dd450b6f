"""The recorder: takes captured calls from any thread and gets them to a sink.

Invariants:

- In ``memory`` mode ``submit`` never waits: calls queue, and one thread of ours makes the entries. With a spool,
  ``submit`` makes the entry and spools it before it returns, so that the entry outlives the process.
- ``submit`` never raises; a full queue or spool loses the entry, and says so.
- Sequences are assigned in the order in which entries reach the sink. An entry that was lost before it got there uses
  up a sequence all the same: the hole is how an auditor learns of it.
- In memory mode everything costly (opening the sink, reading the answer, hashing, pricing, encoding) happens on our
  thread; so do the ticks, always.
- The book always adds up: captured = delivered + lost + left in the spool + what is still out, and closing leaves
  nothing out.
- After fork the child starts anew: its own producer_id, its own queue, its own sink. What was queued at that moment
  is the parent's, and stays there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from llm_audit_producer import lifetime
from llm_audit_producer.call import Call, Captured
from llm_audit_producer.delivery_book import DeliveryBook
from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.faults import say, where
from llm_audit_producer.life_marks import LifeMarks, ProducerFacts
from llm_audit_producer.sinks import AuditSink, Spool
from llm_audit_producer.statistics import Statistics, StatisticsSnapshot
from llm_audit_producer.waiting_calls import Flush, Stop, Waiting, WaitingCalls
from llm_audit_schemas import AuditEntry, ProducerMarker, new_producer_id

logger = logging.getLogger("llm_audit_producer")

BuildEntry = Callable[[Call, str, int], AuditEntry]
"""Makes an entry of a call, a producer_id and a sequence."""

Tick = Callable[[bool], None]
"""Called on the recorder's thread from time to time, and with true once, when the recorder closes."""

_TICK_SECONDS = 5.0
_REFUSALS = {
    "queue_full": "raise queue_entries or queue_bytes, or look at why delivery is slow",
    "closed": "it ended after the producer was closed; close it when no call runs any more",
}


class Recorder:
    """Queue and delivery thread of one producer.

    Args:
        sink: Where entries go; a :class:`Spool` makes ``submit`` spool before it returns.
        build_entry: Makes the entry.
        facts: What the producer's markers say of it.
        queue_entries: Most calls that may wait.
        queue_bytes: Most memory, in bytes, that waiting calls may hold, as they estimate it themselves.
        drain_seconds: How long the process's end may wait for delivery.
        warm_up: Called once on our thread, before anything else, so that no caller pays for what is loaded once.
    """

    def __init__(
        self,
        sink: AuditSink,
        build_entry: BuildEntry,
        *,
        facts: ProducerFacts,
        queue_entries: int,
        queue_bytes: int,
        drain_seconds: float,
        warm_up: Callable[[], object] | None = None,
    ) -> None:
        self._warm_up = warm_up
        self._sink = sink
        self._spools = isinstance(sink, Spool)
        self._build_entry = build_entry
        self._facts = facts
        self._queue_entries = queue_entries
        self._queue_bytes = queue_bytes
        self._drain_seconds = drain_seconds
        self._ticks: list[Tick] = []
        self._start_anew()
        lifetime.follow(self)

    def _start_anew(self, *, predecessor: str | None = None, closed: bool = False) -> None:
        self.producer_id = new_producer_id()
        self._book = DeliveryBook()
        # Reentrant, because a garbage-collected stream may submit while this very thread submits.
        self._lock = threading.RLock()
        self._queue = WaitingCalls(self._queue_entries, self._queue_bytes)
        self._marks = LifeMarks(self._sink_mark, self.producer_id, self._facts, predecessor)
        self._skipped_sequences = 0
        self._sequence = 0
        self._recording = False
        self._thread: threading.Thread | None = None
        self._opened = False
        self._closed = closed
        self._given_up = False

    @property
    def statistics_counters(self) -> Statistics:
        """The counters, for what is counted elsewhere."""
        return self._book.statistics

    def every_few_seconds(self, tick: Tick) -> None:
        """Have ``tick`` called every few seconds while calls are being recorded, and at the end."""
        self._ticks.append(tick)

    def wake(self) -> None:
        """Make sure that ticks come, though nothing was submitted yet."""
        with self._lock:
            if not self._closed:
                self._ensure_thread()

    def submit(self, captured: Captured) -> bool:
        """Take a call; false when it is lost because the queue is full or the producer is closed."""
        started = time.perf_counter()
        try:
            return self._take(captured)
        finally:
            self.statistics_counters.note_recording(time.perf_counter() - started)

    def _take(self, captured: Captured) -> bool:
        size = captured.retained_bytes
        with self._lock:
            reason = self._refusal(size)
            if reason is None:
                self.statistics_counters.count("captured")
                self._ensure_thread()
                # One that comes while this very thread records another, out of garbage collection, waits its turn.
                if self._spools and not self._recording:
                    self._record(captured)
                else:
                    self._queue.put(captured, size)
                return True
            self._skipped_sequences += 1
            count = self.statistics_counters.count_refused(reason)
        self._book.say_lost(captured.request_id, reason, _REFUSALS[reason], count)
        return False

    def submit_and_wait(self, captured: Captured, timeout: float) -> bool:
        """Take a call and wait up to ``timeout`` seconds; true once its entry is spooled or delivered."""
        with self._book.awaiting(captured.request_id) as safe:
            return self.submit(captured) and safe.wait(timeout)

    def _refusal(self, size: int) -> str | None:
        if self._closed:
            return "closed"
        return None if self._queue.has_room_for(size) else "queue_full"

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until every call so far is delivered or lost; returns how many are not."""
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._closed:
                return 0  # closing reported every entry
            if self._thread is None:
                return len(self._queue)
            mark = Flush()
            self._queue.put_mark(mark)
        if not mark.reached.wait(timeout):
            return max(1, len(self._queue))
        return self._sink.flush(max(0.0, deadline - time.monotonic())) if self._opened else 0

    def close(self, timeout: float | None = None) -> int:
        """Drain within ``timeout`` seconds, then stop. Returns how many entries were lost at the end; they are counted.

        What a spool still holds is not lost. Closing twice does nothing.
        """
        deadline = time.monotonic() + (self._drain_seconds if timeout is None else timeout)
        with self._lock:
            if self._closed:
                return 0
            self._tick(closing=True)
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put_mark(Stop())
            thread.join(max(0.0, deadline - time.monotonic()))
            self._given_up = True
        self._close_sink(deadline)
        undelivered = self.statistics_counters.settle("not_drained")
        if undelivered:
            logger.error(
                "llm-audit: %d audit entries could not be delivered before the end; the broker or database did not "
                "take them in time (producer_id %s)",
                undelivered,
                self.producer_id,
            )
        return undelivered

    def _close_sink(self, deadline: float) -> None:
        if not self._opened:
            return
        try:
            self._sink.flush(max(0.0, deadline - time.monotonic()))
            statistics = self.statistics()
            if statistics.captured == statistics.delivered + statistics.lost_total:
                self._marks.ended(statistics)
            self._sink.close(max(0.0, deadline - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - closing goes on, and what is out is counted
            say("the sink could not be closed", error)

    def statistics(self) -> StatisticsSnapshot:
        """The counters now."""
        spool = self._sink.state() if isinstance(self._sink, Spool) else None
        return self.statistics_counters.snapshot(len(self._queue), spool)

    # The recorder's own thread; with a spool, recording happens on the caller's

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="llm-audit-recorder", daemon=True)
        try:
            thread.start()
        except (
            RuntimeError
        ):  # the interpreter is ending, or the machine has no thread left; closing counts the loss
            logger.error("llm-audit: no thread can be started now, so audit entries wait")  # noqa: TRY400 - said whole
            return
        self._thread = thread
        lifetime.follow_worker_process(self)

    def _run(self) -> None:
        if self._warm_up is not None:
            try:
                self._warm_up()
            except Exception as error:  # noqa: BLE001 - what is loaded later instead costs the first caller a moment
                say("the recorder could not warm up", error)
        next_tick = time.monotonic() + _TICK_SECONDS
        while not self._given_up:
            if time.monotonic() >= next_tick:
                self._tick(closing=False)
                self._marks.heartbeat_if_due(self.statistics())
                next_tick = time.monotonic() + _TICK_SECONDS
            item = self._queue.get(_TICK_SECONDS)
            if isinstance(item, Stop):
                return
            if isinstance(item, Flush):
                item.reached.set()
            elif item is not None:
                self._record_queued(item)

    def _record_queued(self, item: Waiting) -> None:
        if self._spools:
            with self._lock:
                self._record(item.captured)
        else:
            self._record(item.captured)
        self._queue.done(item)

    def _record(self, captured: Captured) -> None:
        with self._lock:
            self._sequence += self._skipped_sequences
            self._skipped_sequences = 0
            sequence = self._sequence
            self._sequence += 1
        self._recording = True
        try:
            entry = self._build_entry(captured.read(), self.producer_id, sequence)
        except Exception as error:  # noqa: BLE001 - counted and said; the entries after this one go on
            self._book.lose(
                captured.request_id, "capture_error", f"{type(error).__name__} while making the entry"
            )
            if self.statistics_counters.count_capture_error(error):
                say("an entry could not be made; please report this", error)
        else:
            self._hand_over(entry)
        finally:
            self._recording = False

    def _hand_over(self, entry: AuditEntry) -> None:
        """Give an entry to the sink, which is opened first; one that cannot be opened is tried again next time."""
        try:
            if not self._opened:
                self._sink.open(self._book)
                self._opened = True
                self._marks.started(self.statistics())
            self._sink.append(entry)
        except SinkError as error:
            self._book.lost(entry, error.reason, str(error))
        except AuditSettingsError as error:
            self._book.lost(entry, "sink_unusable", str(error))
        except BaseException as error:
            self._book.lost(entry, "sink_error", f"the sink failed: {where(error)}")
            if self._spools and not isinstance(error, Exception):
                raise  # Ctrl-C on the caller's own thread; whatever a sink does on ours, later entries go on

    def _sink_mark(self, marker: ProducerMarker) -> None:
        self._sink.mark(marker)

    def _tick(self, *, closing: bool) -> None:
        for tick in self._ticks:
            try:
                tick(closing)
            except Exception as error:  # noqa: BLE001 - counted and said; delivery goes on
                if self.statistics_counters.count_capture_error(error):
                    say("unfinished calls could not be settled; please report this", error)

    def after_fork(self) -> None:
        """Begin a life of its own in a forked child: nothing of the parent's queue is taken along."""
        sink, parent = self._sink, self.producer_id
        self._start_anew(predecessor=parent, closed=self._closed)
        self._sink = sink.after_fork()
