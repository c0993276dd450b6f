"""``SpoolingSink``: an entry is on this machine's disk when ``append`` returns, and is delivered from there."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from llm_audit_producer.errors import SinkError
from llm_audit_producer.life_marks import ProducerFacts, marker
from llm_audit_producer.sinks import AuditSink, DeliveryReports
from llm_audit_producer.spool.directory import SpoolDirectory
from llm_audit_producer.spool.drain import Drain
from llm_audit_producer.spool.errors import SpoolBrokenError
from llm_audit_producer.spool.source import Source
from llm_audit_producer.statistics import SpoolState
from llm_audit_schemas import AuditEntry, InvalidEntryError, ProducerMarker

_POLL_SECONDS = 0.02


class SpoolingSink:
    """Spools entries, and drains the spool into another sink.

    Args:
        sink: Where entries go in the end.
        directory: The spool directory.
        facts: What the file says of its producer, should another process have to tell of its end.
    """

    def __init__(self, sink: AuditSink, directory: SpoolDirectory, facts: ProducerFacts) -> None:
        self._sink = sink
        self._directory = directory
        self._facts = facts
        self._reports: DeliveryReports | None = None
        self._drain: Drain | None = None
        self._own: Source | None = None
        self._closed = False

    def open(self, reports: DeliveryReports) -> None:
        """Start draining, beginning with what dead processes left."""
        self._reports = reports
        self._drain = Drain(self._sink, self._directory, reports, self._adopted_marker)
        self._drain.start()

    def append(self, entry: AuditEntry) -> None:
        """Put an entry into the spool; one that the disk does not take is delivered from memory instead.

        Raises:
            SinkError: the spool is full, or neither disk nor memory takes the entry.
        """
        assert self._drain is not None  # noqa: S101 - the recorder opens it first
        assert self._reports is not None  # noqa: S101 - as above
        try:
            own = self._own_source(entry.producer_id)
            if own.file.bytes + self._drain.bytes_of_others >= self._directory.maximum_bytes:
                raise SinkError(
                    "spool_full",
                    f"the spool {self._directory.path} holds {own.file.bytes} bytes in {own.file.count} entries; "
                    "see why the broker does not take them, or raise spool_bytes",
                )
            own.file.append(entry)
        except SpoolBrokenError as error:
            if not self._drain.take_detour(entry):
                raise SinkError("spool_broken", str(error)) from error
            return
        except InvalidEntryError as error:
            raise SinkError("invalid_entry", str(error)) from error
        self._reports.spooled(entry)
        self._drain.wake()

    def mark(self, marker: ProducerMarker) -> None:
        """Send a marker to the sink behind."""
        if self._drain is not None:
            self._drain.mark(marker)

    def flush(self, timeout: float) -> int:
        """Wait until this process's own spool is empty; returns how many entries it still holds."""
        deadline = time.monotonic() + timeout
        while (waiting := self._waiting()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return waiting

    def close(self, timeout: float) -> int:
        """Drain within ``timeout`` seconds; what is left stays in the spool, and is reported so."""
        if self._drain is None or self._closed:
            return 0
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        self._closed = True
        self._drain.close(max(0.0, deadline - time.monotonic()))
        if self._own is None:
            return 0
        remaining = self._own.file.count
        self._own.file.close(remove=remaining == 0)
        self._own.claim.release(remove=remaining == 0)
        if remaining and self._reports is not None:
            self._reports.left_in_spool(remaining)
        return 0

    def after_fork(self) -> SpoolingSink:
        """A sink with a file of its own; the parent's files and connections stay the parent's."""
        _abandoned.append((self._drain, self._own))  # nothing of the parent's may be finalized here
        if self._own is not None:
            self._own.file.abandon()
        return SpoolingSink(self._sink.after_fork(), self._directory, self._facts)

    def state(self) -> SpoolState:
        """What the own spool holds now."""
        if self._own is None or self._closed:
            return SpoolState(0, 0, 0.0, 0 if self._drain is None else self._drain.adopted)
        file = self._own.file
        try:
            first = file.first() if file.count else None
        except SpoolBrokenError:
            first = None
        age = 0.0 if first is None else (datetime.now(UTC) - first.timestamp).total_seconds()
        return SpoolState(file.count, file.bytes, max(0.0, age), self._drain.adopted if self._drain else 0)

    def _waiting(self) -> int:
        if self._closed:
            return 0
        spooled = 0 if self._own is None else self._own.waiting
        return spooled + (0 if self._drain is None else self._drain.on_detour)

    def _own_source(self, producer_id: str) -> Source:
        if self._own is None:
            self._own = self._directory.create(producer_id, self._facts_to_keep())
            assert self._drain is not None  # noqa: S101 - append checked it
            self._drain.add(producer_id, self._own)
        return self._own

    def _facts_to_keep(self) -> dict[str, str]:
        kept = {
            "delivery_mode": self._facts.delivery_mode,
            "service": self._facts.service,
            "environment": self._facts.environment,
        }
        return {name: value for name, value in kept.items() if value is not None}

    def _adopted_marker(self, source: Source) -> ProducerMarker:
        """That a dead producer's spool was delivered whole: its last sequence is known, so no tail is in doubt."""
        facts = source.file.facts()
        made = marker(
            "ended",
            Path(source.path).stem,
            ProducerFacts(
                delivery_mode=facts.get("delivery_mode", "spool"),
                service=facts.get("service"),
                environment=facts.get("environment"),
            ),
            last_sequence=source.file.last_sequence,
            dropped=0,
            details={"unclean": True, "adopted_by": None if self._own is None else self._own.path.stem},
        )
        return replace(made, host=None, process_id=None)  # those of the dead process are on record already


_abandoned: list[object] = []
