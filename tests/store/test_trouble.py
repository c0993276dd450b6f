"""Lost connections, lost answers and waits: written again, the batch is stored once and whole."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg2
import pytest

from llm_audit_consumer.batch import DecodedBatch, Written
from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.errors import DatabaseUnavailableError, OffsetConflictError, RetryableStoreError
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.postgres import Database as Connection
from tests.parts.databases import Database
from tests.store.rows import GROUP, batch, count, dead_letter, entry, fetch, row_of

OURS = "application_name = 'llm-audit-consumer' AND datname = current_database()"
WAITING = f"SELECT 1 FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock'"


def end_sessions(dsn: str) -> None:
    fetch(dsn, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OURS}")


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    blocker = psycopg2.connect(dsn)
    try:
        with blocker.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        blocker.close()


def full_batch(expected: int | None, upto: int) -> DecodedBatch:
    return batch([row_of(entry()), row_of(entry())], expected, upto, bad=[dead_letter(upto - 1)])


def everything(dsn: str) -> tuple[int, int, int]:
    """Rows, dead letters, and the sum of the next offsets."""
    ((offsets,),) = fetch(dsn, "SELECT coalesce(sum(next_offset), 0) FROM llm_audit_offset")
    return count(dsn), count(dsn, "llm_audit_dead_letter"), int(offsets)


def test_an_idle_connection_that_was_lost_is_mended(store: AuditStore, database: Database) -> None:
    store.write(GROUP, full_batch(None, 3))
    end_sessions(database.dsn)
    again = full_batch(3, 6)
    with pytest.raises(RetryableStoreError):
        store.write(GROUP, again)
    assert store.write(GROUP, again) == Written(2, 0, 1)
    assert everything(database.dsn) == (4, 2, 6)


def test_a_connection_lost_between_rows_and_offsets_leaves_nothing(database: Database) -> None:
    migrate(database.dsn)
    store = AuditStore(database.dsn)
    doomed = full_batch(None, 3)
    with ThreadPoolExecutor(1) as thread, locked(database.dsn, "llm_audit_offset"):
        written = thread.submit(store.write, GROUP, doomed)
        until(lambda: fetch(database.dsn, WAITING) != [])
        end_sessions(database.dsn)
        with pytest.raises(RetryableStoreError):
            written.result(20)
    assert everything(database.dsn) == (0, 0, 0)
    assert store.write(GROUP, doomed) == Written(2, 0, 1)
    assert everything(database.dsn) == (2, 1, 3)
    store.close()


@pytest.mark.parametrize("table", ["llm_audit_log", "llm_audit_dead_letter", "llm_audit_offset"])
def test_a_statement_that_takes_too_long_is_retryable(table: str, database: Database) -> None:
    migrate(database.dsn)
    store = AuditStore(database.dsn, statement_timeout_ms=200)
    held_up = full_batch(None, 3)
    with locked(database.dsn, table), pytest.raises(RetryableStoreError, match="statement timeout"):
        store.write(GROUP, held_up)
    assert everything(database.dsn) == (0, 0, 0)
    assert store.write(GROUP, held_up) == Written(2, 0, 1)
    store.close()


def test_reading_the_offsets_does_not_wait_for_ever(database: Database) -> None:
    migrate(database.dsn)
    store = AuditStore(database.dsn, statement_timeout_ms=200)
    with locked(database.dsn, "llm_audit_offset"), pytest.raises(RetryableStoreError, match="timeout"):
        store.next_offsets(GROUP, "topic-id")
    assert store.next_offsets(GROUP, "topic-id") == {}
    store.close()


@contextmanager
def lost_answers(monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> Iterator[None]:
    """Within it every transaction's COMMIT gets no answer, whether it went through or not."""
    real = Connection.transaction

    @contextmanager
    def transaction(self: Connection) -> Iterator[None]:
        with real(self):
            yield
            if not committed:
                raise RetryableStoreError("the connection broke before COMMIT arrived")
        raise RetryableStoreError("the connection broke after COMMIT arrived")

    with monkeypatch.context() as broken:
        broken.setattr(Connection, "transaction", transaction)
        yield


def lose_the_answer(
    store: AuditStore, doubtful: DecodedBatch, patch: pytest.MonkeyPatch, *, committed: bool = True
) -> None:
    with lost_answers(patch, committed=committed), pytest.raises(RetryableStoreError):
        store.write(GROUP, doubtful)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("expected", [None, 3])
def test_a_commit_whose_answer_was_lost_takes_place_once(
    expected: int | None,
    committed: bool,
    store: AuditStore,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if expected:
        store.write(GROUP, batch([], None, expected))
    doubtful = full_batch(expected, 6)
    lose_the_answer(store, doubtful, monkeypatch, committed=committed)
    assert count(database.dsn) == (2 if committed else 0)
    assert store.write(GROUP, doubtful) == Written(2, 0, 1)
    assert store.write(GROUP, full_batch(6, 9)) == Written(2, 0, 1)
    assert everything(database.dsn) == (4, 2, 9)


def test_a_commit_stays_in_doubt_until_the_offsets_could_be_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate(database.dsn)
    store = AuditStore(database.dsn, statement_timeout_ms=200)
    doubtful = full_batch(None, 3)
    lose_the_answer(store, doubtful, monkeypatch)
    with locked(database.dsn, "llm_audit_offset"), pytest.raises(RetryableStoreError):
        store.write(GROUP, doubtful)
    assert store.write(GROUP, doubtful) == Written(2, 0, 1)
    assert everything(database.dsn) == (2, 1, 3)
    store.close()


@pytest.mark.parametrize(("expected", "upto"), [(None, 4), (1, 3)])
def test_another_batch_after_a_commit_in_doubt_is_not_taken_for_it(
    expected: int | None,
    upto: int,
    store: AuditStore,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lose_the_answer(store, full_batch(None, 3), monkeypatch)
    with pytest.raises(OffsetConflictError):
        store.write(GROUP, full_batch(expected, upto))
    assert store.write(GROUP, full_batch(3, 4)) == Written(2, 0, 1)
    assert everything(database.dsn) == (4, 2, 4)


def test_a_commit_in_doubt_that_another_consumer_went_on_from_is_a_conflict(
    store: AuditStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubtful = full_batch(None, 3)
    lose_the_answer(store, doubtful, monkeypatch)
    another = AuditStore(database.dsn)
    another.write(GROUP, full_batch(3, 6))
    another.close()
    with pytest.raises(OffsetConflictError, match="offset 6"):
        store.write(GROUP, doubtful)
    assert everything(database.dsn) == (4, 2, 6)


def test_a_commit_that_is_still_under_way_ends_as_a_conflict(
    store: AuditStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(GROUP, batch([], None, 3))
    doubtful = full_batch(3, 6)
    lose_the_answer(store, doubtful, monkeypatch, committed=False)
    under_way = psycopg2.connect(database.dsn)
    with under_way.cursor() as cursor:
        cursor.execute("UPDATE llm_audit_offset SET next_offset = 6")
    with ThreadPoolExecutor(1) as again:
        written = again.submit(store.write, GROUP, doubtful)
        until(lambda: fetch(database.dsn, WAITING) != [])
        under_way.commit()
        with pytest.raises(OffsetConflictError, match="offset 6, expected 3"):
            written.result(20)
    under_way.close()
    assert everything(database.dsn) == (0, 0, 6)


def test_a_server_that_is_killed_is_found_again() -> None:
    with EmbeddedPostgres() as postgres:  # durable: what was committed must be there after a kill
        migrate(postgres.dsn)
        store = AuditStore(postgres.dsn, connect_timeout=2)
        store.write(GROUP, full_batch(None, 3))
        os.kill(postgres.pid, signal.SIGKILL)
        next_one = full_batch(3, 6)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailableError):
                store.write(GROUP, next_one)
        with pytest.raises(DatabaseUnavailableError):
            store.ping()
        postgres.restart()
        store.ping()
        assert store.write(GROUP, next_one) == Written(2, 0, 1)
        assert everything(postgres.dsn) == (4, 2, 6)
        store.close()
