"""Straight into the log, until a duplicate shows up; then by way of the staging table for a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llm_audit_consumer.batch import DecodedBatch, Partition, Written
from llm_audit_consumer.store import AuditStore, audit_store
from llm_audit_consumer.store.duplicate_watch import CLEAN_BATCHES, DuplicateWatch
from llm_audit_consumer.store.postgres import Database as Connection
from tests.parts.databases import Database
from tests.store.rows import GROUP, PARTITION, batch, entry, fetch, row_of

OTHER = PARTITION._replace(number=1)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ways into the table that were tried, in order."""
    tried: list[str] = []

    def watched(name: str) -> Callable[[Connection, DecodedBatch], int]:
        insert: Callable[[Connection, DecodedBatch], int] = getattr(audit_store, f"_insert_{name}")

        def noted(database: Connection, written: DecodedBatch) -> int:
            tried.append(name)
            return insert(database, written)

        return noted

    for name in ("straight", "staged"):
        monkeypatch.setattr(audit_store, f"_insert_{name}", watched(name))
    return tried


def test_a_duplicate_turns_to_the_staging_table_and_new_rows_turn_back(
    store: AuditStore, database: Database, ways: list[str]
) -> None:
    first = row_of(entry())
    assert store.write(GROUP, batch([first], None, 1)) == Written(1, 0)
    assert store.write(GROUP, batch([first, row_of(entry())], 1, 2)) == Written(1, 1)
    assert ways == ["straight", "straight", "staged"]
    for offset in range(2, 2 + CLEAN_BATCHES):
        store.write(GROUP, batch([row_of(entry())], offset, offset + 1))
    assert ways[3:] == ["staged"] * CLEAN_BATCHES
    store.write(GROUP, batch([row_of(entry())], 2 + CLEAN_BATCHES, 3 + CLEAN_BATCHES))
    assert ways[-1] == "straight"
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(CLEAN_BATCHES + 3,)]


def test_an_aborted_copy_leaves_nothing_but_the_one_try(store: AuditStore, ways: list[str]) -> None:
    rows = [row_of(entry()) for _ in range(100)]
    store.write(GROUP, batch(rows, None, 100))
    for again in range(1, 5):
        assert store.write(GROUP, batch(rows, again * 100, again * 100 + 100)) == Written(0, 100)
    assert ways.count("straight") == 2


def expecting(watch: DuplicateWatch, *partitions: Partition) -> list[bool]:
    return [watch.expected_of([each]) for each in partitions]


def test_only_the_partitions_of_the_batch_are_watched() -> None:
    watch = DuplicateWatch()
    watch.found([PARTITION])
    assert expecting(watch, PARTITION, OTHER) == [True, False]
    assert watch.expected_of([OTHER, PARTITION])
    for _ in range(CLEAN_BATCHES - 1):
        watch.found_none([PARTITION, OTHER])
    assert expecting(watch, PARTITION, OTHER) == [True, False]
    watch.found_none([PARTITION])
    assert expecting(watch, PARTITION, OTHER) == [False, False]


def test_another_duplicate_starts_the_wait_anew() -> None:
    watch = DuplicateWatch()
    watch.found([PARTITION])
    for _ in range(CLEAN_BATCHES - 1):
        watch.found_none([PARTITION])
    watch.found([PARTITION])
    watch.found_none([PARTITION])
    assert expecting(watch, PARTITION) == [True]
