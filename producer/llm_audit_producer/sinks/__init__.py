"""Where entries go. Every sink keeps the same promises, so one can stand in for another.

A sink is used by one thread at a time. It reports each entry it was given exactly once: delivered, when it is as
safe as the sink can make it, or lost, with the reason.
"""

from __future__ import annotations

from typing import Protocol

from llm_audit_schemas import AuditEntry


class DeliveryReports(Protocol):
    """Where a sink reports what became of entries; may be called from any thread."""

    def delivered(self, count: int) -> None:
        """``count`` entries are safe."""
        ...

    def lost(self, request_id: str, reason: str, message: str) -> None:
        """An entry will never arrive; ``reason`` is a short stable word, ``message`` says what to do."""
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

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until every entry is reported; returns how many are still out."""
        ...

    def close(self, timeout: float) -> int:
        """Flush, then let go of every resource; returns how many entries were never reported."""
        ...

    def after_fork(self) -> AuditSink:
        """A fresh, unopened sink for a forked child, which must not touch its parent's connections."""
        ...
