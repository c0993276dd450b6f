"""What the producer counted of its own work. An entry ends in exactly one of delivered, lost or left in the spool."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from llm_audit_producer.distribution import (
    DELIVERY_BOUNDS,
    NO_DELIVERY,
    NO_RECORDING,
    RECORDING_BOUNDS,
    Distribution,
    DistributionSnapshot,
)


@dataclass(frozen=True, slots=True)
class SpoolState:
    """What a process's own spool holds at one moment.

    Attributes:
        entries: Entries that are not delivered yet.
        bytes: Their size on disk, about.
        oldest_seconds: Age of the oldest of them; 0 when there is none.
        adopted: Entries delivered so far out of spools that dead processes left.
    """

    entries: int
    bytes: int
    oldest_seconds: float
    adopted: int


@dataclass(frozen=True, slots=True)
class StatisticsSnapshot:
    """The counters at one moment, since the producer started.

    Attributes:
        captured: Calls seen.
        delivered: Entries the sink has acknowledged.
        lost: Entries that will never arrive, by reason.
        unattributed: Calls for which nobody was named.
        capture_errors: Faults inside the capture itself, by exception class; the calls were not disturbed.
        queued: Calls that wait in memory now.
        left_in_spool: Entries that the closed spool still holds, for another process to deliver.
        spool: What the spool holds now; ``None`` where there is none.
        recording: Seconds that callers spent on having a call recorded.
        delivery: Seconds from a call's end until its entry had arrived.
    """

    captured: int
    delivered: int
    lost: Mapping[str, int]
    unattributed: int
    capture_errors: Mapping[str, int]
    queued: int
    left_in_spool: int = 0
    spool: SpoolState | None = None
    recording: DistributionSnapshot = NO_RECORDING
    delivery: DistributionSnapshot = NO_DELIVERY

    @property
    def lost_total(self) -> int:
        """Entries that will never arrive, whatever the reason."""
        return sum(self.lost.values())


class Statistics:
    """Thread-safe counters.

    The lock is reentrant: a stream that is garbage-collected may be counted while this very thread counts.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._capture_errors: Counter[str] = Counter()
        self._recording = Distribution(RECORDING_BOUNDS)
        self._delivery = Distribution(DELIVERY_BOUNDS)
        self._settled = False

    def count(self, name: str, by: int = 1) -> None:
        """Add to ``captured``, ``unattributed`` or ``left_in_spool``."""
        with self._lock:
            self._counts[name] += by

    def count_delivered(self, took_seconds: float | None = None) -> None:
        """Count an entry that arrived; a report that comes after :meth:`settle` is too late to count."""
        with self._lock:
            if not self._settled:
                self._counts["delivered"] += 1
                if took_seconds is not None:
                    self._delivery.observe(took_seconds)

    def note_recording(self, took_seconds: float) -> None:
        """Note how long a caller was held up by having a call recorded."""
        with self._lock:
            self._recording.observe(took_seconds)

    def count_refused(self, reason: str) -> int:
        """Count a call that was seen and lost at once; returns how many that reason has now."""
        with self._lock:
            self._counts["captured"] += 1
            self._lost[reason] += 1
            return self._lost[reason]

    def count_lost(self, reason: str) -> int:
        """Count an entry that will never arrive.

        Returns how many that reason has now; 0 after :meth:`settle`, which counted the entry already.
        """
        with self._lock:
            if self._settled:
                return 0
            self._lost[reason] += 1
            return self._lost[reason]

    def settle(self, reason: str) -> int:
        """Close the book: what was captured and never reported is lost for ``reason``.

        Returns how many are lost for it in all, with those that a sink gave up by itself at the end.
        """
        with self._lock:
            if self._settled:
                return 0
            self._settled = True
            reported = self._counts["delivered"] + self._counts["left_in_spool"] + self._lost.total()
            unreported = max(0, self._counts["captured"] - reported)
            if unreported:
                self._lost[reason] += unreported
            return self._lost.get(reason, 0)

    def count_capture_error(self, error: BaseException) -> bool:
        """Count a fault in the capture; true the first time this class of fault is seen."""
        name = type(error).__name__
        with self._lock:
            self._capture_errors[name] += 1
            return self._capture_errors[name] == 1

    def snapshot(self, queued: int, spool: SpoolState | None = None) -> StatisticsSnapshot:
        """The counters now."""
        with self._lock:
            return StatisticsSnapshot(
                captured=self._counts["captured"],
                delivered=self._counts["delivered"],
                lost=dict(self._lost),
                unattributed=self._counts["unattributed"],
                capture_errors=dict(self._capture_errors),
                queued=queued,
                left_in_spool=self._counts["left_in_spool"],
                spool=spool,
                recording=self._recording.snapshot(),
                delivery=self._delivery.snapshot(),
            )
