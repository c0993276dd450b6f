"""A log to write entries to, as the consumer does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.retention.running import Checkpoint, Outcome, RetentionRun, RunSettings
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.postgres import Database
from llm_audit_schemas import AuditEntry
from tests.retention.trail import rows_of
from tests.store.rows import GROUP, batch, fetch

SETTINGS = RunSettings("the test", batch_rows=10, lock_timeout_ms=50, patience_seconds=0.2, retry_seconds=0.1)
MONTHS = r"SELECT relname::text FROM pg_class WHERE relname ~ '^llm_audit_log_\d{4}_\d\d$' ORDER BY relname"


@dataclass
class Log:
    """The log under test."""

    dsn: str
    store: AuditStore
    offset: int = 0

    def write(self, entries: Sequence[AuditEntry]) -> int:
        """Write entries; returns how many were new."""
        expected = self.offset or None
        self.offset += len(entries)
        return self.store.write(GROUP, batch(rows_of(entries), expected, self.offset)).inserted

    def months_until(self, day: date) -> None:
        self.store.create_partitions(day)

    def months(self) -> list[str]:
        return [name for (name,) in fetch(self.dsn, MONTHS)]

    def apply(
        self,
        policies: Policies,
        as_of: datetime,
        *,
        checkpoint: Checkpoint = lambda _name: None,
        settings: RunSettings = SETTINGS,
        dsn: str = "",
    ) -> Outcome:
        """One whole run."""
        with closing(Database(dsn or self.dsn, application_name="retention-under-test")) as database:
            run = RetentionRun(database, policies, as_of, settings, checkpoint=checkpoint)
            return run.apply(run.plan())

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return fetch(self.dsn, sql)


def moment(year: int, month: int, day: int = 15) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)
