"""Where entries go. Every sink keeps the same promises, so one can stand in for another.

A sink is used by one thread at a time. It reports each entry it was given exactly once: delivered, when it is as
safe as the sink can make it, or lost, with the reason. A spool, which stands before another sink, may besides report
an entry as spooled before either.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from llm_audit_producer.statistics import SpoolState
from llm_audit_schemas import AuditEntry, ProducerMarker


class DeliveryReports(Protocol):
    """Where a sink reports what became of entries; may be called from any thread."""

    def spooled(self, entry: AuditEntry) -> None:
        """An entry is in a spool: it outlives this process, and is delivered by it or by another."""
        ...

    def delivered(self, entry: AuditEntry) -> None:
        """An entry is where it was to go."""
        ...

    def lost(self, entry: AuditEntry, reason: str, message: str) -> None:
        """An entry will never arrive; ``reason`` is a short stable word, ``message`` says what to do."""
        ...

    def left_in_spool(self, count: int) -> None:
        """The spool closes with ``count`` entries that were not delivered yet; another process will."""
        ...


class AuditSink(Protocol):
    """A destination for entries."""

    def open(self, reports: DeliveryReports) -> None:
        """Get ready; called once, before any entry. Must not wait for a server to answer."""
        ...

    def append(self, entry: AuditEntry) -> None:
        """Take one entry; may wait, as it runs on the recorder's thread.

        Raises:
            SinkError: the entry cannot be taken; it counts as lost and needs no report.
        """
        ...

    def mark(self, marker: ProducerMarker) -> None:
        """Take the producer's word on its own life; a sink that nobody counts behind may drop it. Never raises."""
        ...

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until every entry is reported; returns how many are still out."""
        ...

    def close(self, timeout: float) -> int:
        """Flush, then let go of every resource; returns how many entries were never reported."""
        ...

    def after_fork(self) -> AuditSink:
        """A fresh, unopened sink for a forked child, which must not touch its parent's connections."""
        ...


@runtime_checkable
class Spool(AuditSink, Protocol):
    """A sink that keeps entries on this machine's disk until another one has them."""

    def state(self) -> SpoolState:
        """What it holds now."""
        ...
