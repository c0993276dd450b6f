"""The partitions of the log and of its content: what ids each takes, and which months of the calendar they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from llm_audit_consumer.retention.sql import statement
from llm_audit_consumer.store.postgres import Database

LOG, CONTENT = "llm_audit_log", "llm_audit_content"
"""The tables that are partitioned by month."""

_MONTH = re.compile(r"llm_audit_(?:log|content)_(\d{4})_(\d\d)")
_BOUNDS = re.compile(r"FROM \((?:'([0-9a-f-]{36})'|MINVALUE)\) TO \((?:'([0-9a-f-]{36})'|MAXVALUE)\)")
_LEAST, _GREATEST = 0, (1 << 128) - 1
_MILLISECONDS_SHIFT = 80  # a UUIDv7's time is its first 48 of 128 bits (RFC 9562, section 5.7)


@dataclass(frozen=True, slots=True)
class LogPartition:
    """One partition of the log or of its content.

    Attributes:
        name: The table.
        first_id: The least request_id it takes.
        last_id: The greatest.
        month: The first day of its month; ``None`` for the two outer partitions.
    """

    name: str
    first_id: UUID
    last_id: UUID
    month: date | None

    @property
    def log(self) -> str:
        """The table it is a partition of: :data:`LOG` or :data:`CONTENT`."""
        return CONTENT if self.name.startswith(CONTENT) else LOG

    @classmethod
    def of_month(cls, name: str) -> LogPartition:
        """The partition of a month by its table's name, such as ``llm_audit_log_2026_11``.

        Raises:
            ValueError: it is not named so.
        """
        match = _MONTH.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is no month of the log")
        month = date(int(match[1]), int(match[2]), 1)
        following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
        return cls(name, _first_id(month), UUID(int=_first_id(following).int - 1), month)

    @property
    def end(self) -> datetime:
        """The first moment, UTC, that lies behind the partition's ids."""
        milliseconds = (self.last_id.int >> _MILLISECONDS_SHIFT) + 1
        try:
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        except (OverflowError, ValueError):
            return datetime.max.replace(tzinfo=UTC)


def _first_id(day: date) -> UUID:
    milliseconds = (day - date(1970, 1, 1)) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << _MILLISECONDS_SHIFT)


def log_partitions(database: Database, log: str) -> list[LogPartition]:
    """Every partition of one of the tables, in the order of their ids; none where there is no such table."""
    rows = database.rows(statement("partitions"), {"log": log})
    found = [_partition(row["name"], row["bounds"]) for row in rows]
    return sorted(found, key=lambda each: each.first_id)


def _partition(name: str, bounds: str) -> LogPartition:
    match = _BOUNDS.search(bounds)
    if match is None:
        raise ValueError(f"partition {name} has bounds that cannot be read: {bounds}")
    month = _MONTH.fullmatch(name)
    return LogPartition(
        name,
        UUID(match[1]) if match[1] else UUID(int=_LEAST),
        UUID(int=UUID(match[2]).int - 1) if match[2] else UUID(int=_GREATEST),
        date(int(month[1]), int(month[2]), 1) if month else None,
    )
