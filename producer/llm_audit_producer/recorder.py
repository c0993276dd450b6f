"""The recorder: takes captured calls from any thread and gets them to a sink from one of its own.

Invariants:

- ``submit`` never waits and never raises: a full queue loses the entry, and says so.
- One thread assigns sequences, in the order in which it takes entries, so an entry's place is also its order on the
  topic. An entry that was lost before it got there uses up a sequence all the same: the hole is how an auditor
  learns of it.
- Everything costly (reading the answer, hashing, pricing, encoding) happens on that thread.
- After fork the child starts anew: its own producer_id, its own queue, its own sink. What was queued at that moment
  is the parent's, and stays there.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue

from llm_audit_producer.call import Call, Captured
from llm_audit_producer.errors import SinkError
from llm_audit_producer.sinks import AuditSink
from llm_audit_producer.statistics import Statistics, StatisticsSnapshot
from llm_audit_schemas import AuditEntry, new_producer_id

logger = logging.getLogger("llm_audit_producer")

BuildEntry = Callable[[Call, str, int], AuditEntry]
"""Makes an entry of a call, a producer_id and a sequence."""

Tick = Callable[[bool], None]
"""Called on the recorder's thread from time to time, and with true once, when the recorder closes."""

_STOP = object()
_TICK_SECONDS = 5.0


class _Flush:
    """A mark in the queue: everything before it has been handed to the sink once it is reached."""

    def __init__(self) -> None:
        self.reached = threading.Event()


class Recorder:
    """Queue and delivery thread of one producer.

    Args:
        sink: Where entries go.
        build_entry: Makes the entry; runs on the recorder's thread.
        queue_entries: Most calls that may wait.
        queue_bytes: Most memory, in bytes, that waiting calls may hold, as they estimate it themselves.
        drain_seconds: How long the process's end may wait for delivery.
    """

    def __init__(
        self,
        sink: AuditSink,
        build_entry: BuildEntry,
        *,
        queue_entries: int,
        queue_bytes: int,
        drain_seconds: float,
    ) -> None:
        self._sink = sink
        self._build_entry = build_entry
        self._queue_entries = queue_entries
        self._queue_bytes = queue_bytes
        self._drain_seconds = drain_seconds
        self._ticks: list[Tick] = []
        self._start_anew()
        _recorders.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def _start_anew(self) -> None:
        self.producer_id = new_producer_id()
        self.statistics_counters = Statistics()
        # Reentrant, because a garbage-collected stream may submit while this very thread submits.
        self._lock = threading.RLock()
        self._queue: SimpleQueue[Captured | _Flush | object] = SimpleQueue()
        self._bytes_in = 0
        self._bytes_out = 0
        self._skipped_sequences = 0
        self._sequence = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def every_few_seconds(self, tick: Tick) -> None:
        """Have ``tick`` called every few seconds while calls are being recorded, and at the end."""
        self._ticks.append(tick)

    def wake(self) -> None:
        """Make sure that ticks come, though nothing was submitted yet."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._start_thread()

    def submit(self, captured: Captured) -> bool:
        """Take a call; false when it is lost because the queue is full or the producer is closed."""
        with self._lock:
            self.statistics_counters.count("captured")
            reason = self._refusal(captured.retained_bytes)
            if reason is None:
                self._bytes_in += captured.retained_bytes
                self._queue.put(captured)
                if self._thread is None:
                    self._start_thread()
                return True
            self._skipped_sequences += 1
        self.lost(
            captured.request_id, reason, "raise queue_entries or queue_bytes, or look at why delivery is slow"
        )
        return False

    def _refusal(self, size: int) -> str | None:
        if self._closed:
            return "closed"
        full = self._queue.qsize() >= self._queue_entries
        return "queue_full" if full or self._bytes_in - self._bytes_out + size > self._queue_bytes else None

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until every call so far is delivered or lost; returns how many are not."""
        deadline = time.monotonic() + timeout
        with self._lock:
            if self._thread is None:
                return 0
            mark = _Flush()
            self._queue.put(mark)
        if not mark.reached.wait(timeout):
            return max(1, self._queue.qsize())
        return self._sink.flush(max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float | None = None) -> int:
        """Drain within ``timeout`` seconds, then stop. Returns how many entries could not be drained; they are counted.

        Closing twice does nothing.
        """
        with self._lock:
            if self._closed:
                return 0
            self._tick(closing=True)
            self._closed = True
            thread = self._thread
        if thread is None:
            return 0
        deadline = time.monotonic() + (self._drain_seconds if timeout is None else timeout)
        self._queue.put(_STOP)
        thread.join(max(0.0, deadline - time.monotonic()))
        undelivered = self._count_undrained() if thread.is_alive() else 0
        undelivered += self._sink.close(max(0.0, deadline - time.monotonic()))
        if undelivered:
            self.statistics_counters.count_lost("not_drained", undelivered)
            logger.error(
                "llm-audit: %d audit entries could not be delivered before the end; the broker or database did not "
                "take them in time (producer_id %s)",
                undelivered,
                self.producer_id,
            )
        return undelivered

    def _count_undrained(self) -> int:
        count = 1  # the one the thread is stuck on
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                self._queue.put(_STOP)
                return count
            count += item is not _STOP and not isinstance(item, _Flush)

    def statistics(self) -> StatisticsSnapshot:
        """The counters now."""
        return self.statistics_counters.snapshot(self._queue.qsize())

    # Delivery reports, from the sink

    def delivered(self, count: int) -> None:
        """``count`` entries are safe."""
        self.statistics_counters.count("delivered", count)

    def lost(self, request_id: str, reason: str, message: str) -> None:
        """An entry will never arrive: count it and say so; the first of each reason at error level."""
        first = reason not in self.statistics_counters.snapshot(0).lost
        self.statistics_counters.count_lost(reason)
        logger.log(
            logging.ERROR if first else logging.WARNING,
            "llm-audit: audit entry %s is lost (%s): %s",
            request_id,
            reason,
            message,
        )

    # The recorder's own thread

    def _start_thread(self) -> None:
        self._sink.open(self)
        self._thread = threading.Thread(target=self._run, name="llm-audit-recorder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        next_tick = time.monotonic() + _TICK_SECONDS
        while True:
            if time.monotonic() >= next_tick:
                self._tick(closing=False)
                next_tick = time.monotonic() + _TICK_SECONDS
            try:
                item = self._queue.get(timeout=_TICK_SECONDS)
            except Empty:
                continue
            if item is _STOP:
                return
            if isinstance(item, _Flush):
                item.reached.set()
            else:
                self._record(item)  # type: ignore[arg-type]  # only Captured is left

    def _record(self, captured: Captured) -> None:
        with self._lock:
            self._sequence += self._skipped_sequences
            self._skipped_sequences = 0
            sequence = self._sequence
            self._sequence += 1
        try:
            self._sink.append(self._build_entry(captured.read(), self.producer_id, sequence))
        except SinkError as error:
            self.lost(captured.request_id, error.reason, str(error))
        except Exception as error:
            self.lost(captured.request_id, "capture_error", f"{type(error).__name__} while making the entry")
            if self.statistics_counters.count_capture_error(error):
                logger.exception("llm-audit: an entry could not be made; please report this")
        finally:
            self._bytes_out += captured.retained_bytes

    def _tick(self, *, closing: bool) -> None:
        for tick in self._ticks:
            try:
                tick(closing)
            except Exception as error:
                if self.statistics_counters.count_capture_error(error):
                    logger.exception("llm-audit: unfinished calls could not be settled; please report this")

    def _after_fork(self) -> None:
        self._sink = self._sink.after_fork()
        self._start_anew()


_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _reset_recorders_in_child() -> None:
    for recorder in list(_recorders):
        recorder._after_fork()


def _close_at_exit(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.close()


os.register_at_fork(after_in_child=_reset_recorders_in_child)
