"""Five years of entries under every policy: after each half year exactly that is left which must be."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.retention.running import Outcome, RunSettings, run_once
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_schemas import AuditEntry
from tests.parts.databases import Database
from tests.retention.trail import (
    KEPT,
    entries_between,
    entry_at,
    expected,
    rows_of,
    stored,
)
from tests.store.rows import GROUP, batch, fetch

START = datetime(2027, 1, 1, tzinfo=UTC)
HALF_YEARS = [START.replace(year=START.year + half // 2, month=1 + half % 2 * 6) for half in range(1, 11)]
AFTERWARDS = [START.replace(year=START.year + year) for year in (6, 7, 9, 12)]
SETTINGS = RunSettings("the test", batch_rows=37)


class Travel:
    """A log through the years: what was written, and what retention has left of it."""

    def __init__(self, dsn: str, policies: Policies, chance: random.Random) -> None:
        self.dsn, self.policies, self.chance = dsn, policies, chance
        self.outcomes: list[Outcome] = []
        self._offset = 0

    def write(self, entries: list[AuditEntry]) -> None:
        with closing(AuditStore(self.dsn)) as store:
            rows = rows_of(entries)
            expected_offset = self._offset or None
            self._offset += len(rows)
            written = store.write(GROUP, batch(rows, expected_offset, self._offset))
            assert (written.inserted, written.dead_letters) == (len(rows), 0)

    def months_until(self, at: datetime) -> None:
        with closing(AuditStore(self.dsn)) as store:
            store.create_partitions((at + timedelta(days=62)).date())

    def pass_to(self, as_of: datetime) -> None:
        """Retention at a moment, held against the independent computation, and again: nothing is left to do."""
        before = stored(self.dsn)
        self.outcomes.append(run_once(self.dsn, self.policies, as_of, SETTINGS))
        assert stored(self.dsn) == expected(self.dsn, before, as_of)
        if as_of.month == 1:
            again = run_once(self.dsn, self.policies, as_of, SETTINGS)
            assert (again.rows, again.postponed) == ({}, [])


@pytest.mark.parametrize("classes", [["standard"], ["hipaa"], ["gdpr"], list(KEPT)], ids="-".join)
def test_five_years(classes: list[str], database: Database, policies: Policies) -> None:
    migrate(database.dsn)
    travel = Travel(database.dsn, policies, random.Random(11))
    begun = START
    for now in HALF_YEARS:
        travel.months_until(now)
        entries = entries_between(begun, now, classes, travel.chance, every=timedelta(days=10))
        entries += odd_ones(now, classes, travel.chance)
        travel.write(entries)
        travel.pass_to(now)
        begun = now
    for now in AFTERWARDS:
        travel.write(odd_ones(now, classes, travel.chance))
        travel.pass_to(now)
    left = {row["retention_class"] for row in stored(database.dsn).values() if row["timestamp"].year < 2032}
    assert left == {name for name in classes if KEPT[name]["row"] is None}
    months = [name for outcome in travel.outcomes for name in outcome.months]
    if len(classes) == 1:  # then whole months expire, and rows are deleted only where they came late or odd
        assert len(set(months)) >= 12 * (10 if classes != ["hipaa"] else 5) // 2
    check_records(database.dsn, travel)


def odd_ones(now: datetime, classes: list[str], chance: random.Random) -> list[AuditEntry]:
    """Entries that come months and years late, that lie in the future, and whose id says nothing about their time."""
    late = [now - timedelta(days=days) for days in (40, 200, 500, 900, 2500, 20_000)]
    ahead = [now + timedelta(days=days) for days in (20, 400, 3000)]
    entries = [entry_at(at, name, chance) for at in late + ahead for name in classes]
    for name in classes:
        no_time = f"{chance.getrandbits(32):08x}-0000-4000-8000-{chance.getrandbits(48):012x}"
        entries.append(replace(entry_at(now - timedelta(days=3), name, chance), request_id=no_time))
    return entries


def check_records(dsn: str, travel: Travel) -> None:
    """What is recorded is what was done: actions, rows, who and when."""
    recorded = dict(
        fetch(
            dsn,
            "SELECT action, sum(rows)::bigint FROM llm_audit_retention_action WHERE rows > 0 GROUP BY action",
        )
    )
    done: dict[str, int] = {}
    for outcome in travel.outcomes:
        for action, rows in outcome.rows.items():
            done[action] = done.get(action, 0) + rows
    assert recorded == {action: rows for action, rows in done.items() if rows}
    assert fetch(dsn, "SELECT DISTINCT operator, finished_at IS NULL FROM llm_audit_retention_action") == [
        ("the test", False)
    ]
