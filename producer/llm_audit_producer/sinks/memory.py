"""A sink that keeps entries in memory, for people who test their own services."""

from __future__ import annotations

import threading

from llm_audit_producer.sinks import DeliveryReports
from llm_audit_schemas import AuditEntry, ProducerMarker


class MemorySink:
    """Keeps every entry in a list, in order. For tests: it grows without bound."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []
        self._lock = threading.Lock()
        self._reports: DeliveryReports | None = None

    @property
    def entries(self) -> tuple[AuditEntry, ...]:
        """The entries so far; flush the producer first to be sure that none is on its way."""
        with self._lock:
            return tuple(self._entries)

    def clear(self) -> None:
        """Forget the entries so far."""
        with self._lock:
            self._entries.clear()

    def open(self, reports: DeliveryReports) -> None:
        """Nothing to get ready."""
        self._reports = reports

    def append(self, entry: AuditEntry) -> None:
        """Keep the entry."""
        with self._lock:
            self._entries.append(entry)
        if self._reports is not None:
            self._reports.delivered(entry)

    def mark(self, marker: ProducerMarker) -> None:
        """Nobody counts what is here, so nothing is kept."""

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - nothing is ever on its way
        """Nothing is ever on its way."""
        return 0

    def close(self, timeout: float) -> int:  # noqa: ARG002 - nothing is ever on its way
        """Entries stay readable."""
        return 0

    def after_fork(self) -> MemorySink:
        """An empty sink for the child."""
        return MemorySink()
