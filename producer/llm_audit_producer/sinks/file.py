"""The development sink: one JSONL file per UTC day, and the questions one asks of it.

Each entry is one line, written by one ``write`` to a file opened for appending, so several processes may share a
directory. A line torn by a crash or a full disk is skipped when reading, and counted; whoever writes next ends it
first, so that it takes no other with it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.sinks import DeliveryReports
from llm_audit_producer.sinks.query_times import require_aware
from llm_audit_schemas import AuditEntry, InvalidEntryError, ProducerMarker
from llm_audit_schemas.text import storable_json

logger = logging.getLogger("llm_audit_producer")

_PREFIX = "llm-audit-"


class FileAuditStorage:
    """Entries as lines of JSON in ``DIRECTORY/llm-audit-YYYY-MM-DD.jsonl``, the day being the call's, in UTC.

    Args:
        directory: Made when missing, readable by its owner only.
        fsync: Force each entry to the disk before it counts as delivered.
    """

    def __init__(self, directory: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._directory = Path(directory)
        self._fsync = fsync
        self._reports: DeliveryReports | None = None
        self._day: date | None = None
        self._descriptor: int | None = None

    def open(self, reports: DeliveryReports) -> None:
        """Make the directory.

        Raises:
            AuditSettingsError: it cannot be made.
        """
        self._reports = reports
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise AuditSettingsError(
                f"the audit directory {self._directory} cannot be made ({error.strerror}); name another"
            ) from error

    def append(self, entry: AuditEntry) -> None:
        """Write one line.

        Raises:
            SinkError: the disk does not take it.
        """
        line = json.dumps(storable_json(entry.as_json()), ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            descriptor = self._file_of(entry.timestamp.astimezone(UTC).date())
            _write_whole(descriptor, line.encode())
            if self._fsync:
                os.fsync(descriptor)
        except OSError as error:
            self.close(0)  # what was written of the line is ended when the file is opened again
            raise SinkError("disk", f"{self._directory} does not take it: {error.strerror}") from error
        if self._reports is not None:
            self._reports.delivered(entry)

    def mark(self, marker: ProducerMarker) -> None:
        """Nobody counts what is here, so nothing is kept."""

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - every append is a whole write
        """Every append is a whole write already."""
        return 0

    def close(self, timeout: float) -> int:  # noqa: ARG002 - every append is a whole write
        """Close the day's file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = self._day = None
        return 0

    def after_fork(self) -> FileAuditStorage:
        """A sink with its own file handle."""
        return FileAuditStorage(self._directory, fsync=self._fsync)

    def query(
        self, start: datetime | None = None, end: datetime | None = None, user_id: str | None = None
    ) -> Iterator[AuditEntry]:
        """The entries from ``start`` up to but not including ``end``, oldest day first.

        Args:
            start: Earliest call start; timezone-aware. From the beginning when not given.
            end: First moment that is too late; timezone-aware. To the end when not given.
            user_id: Only this user's calls.

        Raises:
            ValueError: a time has no timezone.
        """
        require_aware(start=start, end=end)
        return self._matching(start, end, user_id)

    def _matching(
        self, start: datetime | None, end: datetime | None, user_id: str | None
    ) -> Iterator[AuditEntry]:
        for path in sorted(self._directory.glob(f"{_PREFIX}*.jsonl")):
            if not _may_hold(path, start, end):
                continue
            for entry in _entries_of(path):
                if (
                    (start is None or entry.timestamp >= start)
                    and (end is None or entry.timestamp < end)
                    and (user_id is None or entry.user_id == user_id)
                ):
                    yield entry

    def _file_of(self, day: date) -> int:
        if self._descriptor is None or day != self._day:
            self.close(0)
            path = self._directory / f"{_PREFIX}{day.isoformat()}.jsonl"
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            self._day = day
            _end_torn_line(self._descriptor)
        return self._descriptor


def _write_whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _end_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        _write_whole(descriptor, b"\n")


def _may_hold(path: Path, start: datetime | None, end: datetime | None) -> bool:
    try:
        day = datetime.fromisoformat(path.stem.removeprefix(_PREFIX)).replace(tzinfo=UTC)
    except ValueError:
        return False
    return (start is None or day + timedelta(days=1) > start) and (end is None or day < end)


def _entries_of(path: Path) -> Iterator[AuditEntry]:
    torn = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            entry = _entry_of(line)
            if entry is not None:
                yield entry
            elif line.strip():
                torn += 1
    if torn:
        logger.warning(
            "llm-audit: %s has %d line(s) that are no audit entries; they were skipped", path, torn
        )


def _entry_of(line: str) -> AuditEntry | None:
    try:
        record = json.loads(line)
        return AuditEntry.from_json(record) if isinstance(record, dict) else None
    except (ValueError, RecursionError, InvalidEntryError):
        return None
