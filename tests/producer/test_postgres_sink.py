"""The direct PostgreSQL sink: away at the start, away later, silent, not migrated; and its questions."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg2
import pytest

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.store import migrate
from llm_audit_producer import AuditLogger, PostgresAuditStorage
from llm_audit_producer.errors import SinkError
from tests.parts.databases import Database
from tests.parts.messages import wait_until
from tests.parts.processes import wait_gone
from tests.producer.sinks import NOON, Ledger, entries, entry


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, to be stopped and paused."""
    with EmbeddedPostgres(ephemeral=True) as server:
        migrate(server.dsn)
        yield server


@pytest.fixture
def storage(database: Database) -> Iterator[PostgresAuditStorage]:
    migrate(database.dsn)
    made = PostgresAuditStorage(database.dsn)
    made.open(Ledger())
    yield made
    made.close(10)


def test_a_database_away_at_the_start_gets_everything_once_it_is_there(
    own_server: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(own_server.pid, signal.SIGINT)  # PostgreSQL's fast shutdown
    wait_gone(own_server.pid)
    logger = AuditLogger(PostgresAuditStorage(own_server.dsn, connect_timeout=1))
    for number in range(20):
        logger.log_request(f"u-{number}")
    assert logger.flush(0.3) > 0
    wait_until(lambda: "PostgreSQL is away" in caplog.text, "the warning")
    own_server.restart()
    assert logger.flush(30) == 0
    assert logger.statistics().delivered == 20
    with_rows = PostgresAuditStorage(own_server.dsn)
    rows = sorted(with_rows.query(), key=lambda row: int(row["sequence"]))
    assert [row["user_id"] for row in rows] == [f"u-{number}" for number in range(20)]
    own_server.restart()  # the connection that was in use is gone
    logger.log_request("u-20")
    assert logger.close(30) == 0
    assert len(list(with_rows.query())) == 21
    assert own_server.dsn not in caplog.text


def test_a_database_that_stays_away_bounds_the_end_and_counts_each_entry_once() -> None:
    logger = AuditLogger(PostgresAuditStorage("postgresql://user:hunter2@127.0.0.1:1/x", connect_timeout=1))
    for _ in range(10):
        logger.log_request(model="m")
    assert logger.close(0.4) == 10
    thread = logger._recorder._thread
    assert thread is not None
    thread.join(20)
    assert not thread.is_alive()
    assert logger.statistics().lost == {"not_drained": 10}


def test_a_server_that_falls_silent_does_not_hold_up_the_end(own_server: EmbeddedPostgres) -> None:
    logger = AuditLogger(PostgresAuditStorage(own_server.dsn))
    logger.log_request(model="m")
    assert logger.flush(30) == 0
    connection = psycopg2.connect(own_server.dsn)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'llm-audit-producer'")
        ((pid,),) = cursor.fetchall()
    connection.close()
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(5):
            logger.log_request(model="m")
        begun = time.monotonic()
        assert logger.close(0.5) == 5
        assert time.monotonic() - begun < 15
    finally:
        os.kill(pid, signal.SIGCONT)
    assert logger.statistics().lost == {"not_drained": 5}


def test_a_database_that_was_not_migrated_says_what_to_do_and_gets_everything_then(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    storage = PostgresAuditStorage(database.dsn)
    logger = AuditLogger(storage)
    logger.log_request(model="m")
    assert logger.flush(0.3) > 0
    wait_until(lambda: "run `llm-audit migrate`" in caplog.text, "the hint")
    migrate(database.dsn)
    assert logger.close(30) == 0
    assert len(list(storage.query())) == 1


def test_an_entry_that_does_not_fit_is_refused_by_name(storage: PostgresAuditStorage) -> None:
    with pytest.raises(SinkError, match="attempts") as caught:
        storage.append(entry(attempts=2**40))
    assert caught.value.reason == "invalid_entry"
    storage.append(entry(1))
    assert [row["sequence"] for row in storage.query()] == [1]


def test_a_failover_to_a_standby_is_waited_out(storage: PostgresAuditStorage, database: Database) -> None:
    storage.append(entry(0))
    connection = psycopg2.connect(database.dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
    logger = AuditLogger(PostgresAuditStorage(database.dsn))
    logger.log_request("after")
    assert logger.flush(0.3) > 0
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = off")
        cursor.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = off')
    connection.close()
    assert logger.flush(30) == 0
    assert logger.close() == 0
    assert logger.statistics().delivered == 1


def test_an_entry_that_is_there_already_stays_as_it_is(storage: PostgresAuditStorage) -> None:
    first = entry(0, user_id="first")
    storage.append(first)
    storage.append(entry(0, request_id=first.request_id, user_id="second"))
    assert [row["user_id"] for row in storage.query()] == ["first"]


def test_questions_by_time_and_user(storage: PostgresAuditStorage) -> None:
    months = [NOON + timedelta(days=day, microseconds=day) for day in range(-40, 41, 10)]
    for number, at in enumerate(months):
        storage.append(entry(number, at, user_id=f"u-{number % 2}"))

    def asked(**question: object) -> list[int]:
        return [row["sequence"] for row in storage.query(**question)]  # type: ignore[arg-type]  # as the test says

    assert asked() == list(range(9))
    assert asked(start=months[4]) == [4, 5, 6, 7, 8]
    assert asked(end=months[4]) == [0, 1, 2, 3]
    assert asked(start=months[2], end=months[6] + timedelta(microseconds=1), user_id="u-0") == [2, 4, 6]
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match=r"start .* has no timezone"):
        storage.query(start=naive)
    with pytest.raises(ValueError, match=r"end .* has no timezone"):
        storage.query(end=naive)


def test_a_question_about_a_month_reads_that_months_partition_only(
    storage: PostgresAuditStorage, database: Database
) -> None:
    from llm_audit_producer.sinks.postgres import _sql

    for one in entries(3):
        storage.append(one)
    connection = psycopg2.connect(database.dsn)
    with connection.cursor() as cursor:
        question = {"start": NOON, "end": NOON + timedelta(hours=1), "user_id": "u-1"}
        cursor.execute("EXPLAIN " + _sql("postgres_query.sql"), question)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    connection.close()
    assert "llm_audit_log_before" not in plan
    assert "llm_audit_log_after" not in plan
