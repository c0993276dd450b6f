"""The book of deliveries: what became of each entry, and who waits to hear that one is safe.

A sink reports here, from whatever thread; the recorder asks. Losses are said in the log, but never flood it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from llm_audit_producer.statistics import Statistics
from llm_audit_schemas import AuditEntry

logger = logging.getLogger("llm_audit_producer")

_LOSS_LOG_INTERVAL_SECONDS = 10.0


class DeliveryBook:
    """Takes a sink's reports for one producer.

    Attributes:
        statistics: The counters that the reports go into.
    """

    def __init__(self) -> None:
        self.statistics = Statistics()
        self._waiting: dict[str, threading.Event] = {}
        self._next_loss_log: dict[str, float] = {}

    def spooled(self, entry: AuditEntry) -> None:
        """An entry is in a spool."""
        self._safe(entry.request_id)

    def delivered(self, entry: AuditEntry) -> None:
        """An entry is where it was to go."""
        self.statistics.count_delivered(
            (datetime.now(UTC) - entry.timestamp).total_seconds() - (entry.latency_ms or 0) / 1000
        )
        self._safe(entry.request_id)

    def lost(self, entry: AuditEntry, reason: str, message: str) -> None:
        """An entry will never arrive: count it and say so."""
        self.lose(entry.request_id, reason, message)

    def left_in_spool(self, count: int) -> None:
        """The spool closes with entries that another process will deliver."""
        self.statistics.count("left_in_spool", count)

    def lose(self, request_id: str, reason: str, message: str) -> None:
        """As :meth:`lost`, for what did not even become an entry."""
        count = self.statistics.count_lost(reason)
        if count:
            self.say_lost(request_id, reason, message, count)

    def say_lost(self, request_id: str, reason: str, message: str, count: int) -> None:
        """The first of each reason at error level, then one line in a while: an overload must not flood the log."""
        now = time.monotonic()
        if now < self._next_loss_log.get(reason, 0.0):
            return
        self._next_loss_log[reason] = now + _LOSS_LOG_INTERVAL_SECONDS
        logger.log(
            logging.ERROR if count == 1 else logging.WARNING,
            "llm-audit: audit entry %s is lost (%s, %d so far): %s",
            request_id,
            reason,
            count,
            message,
        )

    @contextmanager
    def awaiting(self, request_id: str) -> Iterator[threading.Event]:
        """An event that is set once the entry is spooled or delivered; an entry that is lost never sets it."""
        safe = self._waiting.setdefault(request_id, threading.Event())
        try:
            yield safe
        finally:
            self._waiting.pop(request_id, None)

    def _safe(self, request_id: str) -> None:
        safe = self._waiting.get(request_id)
        if safe is not None:
            safe.set()
