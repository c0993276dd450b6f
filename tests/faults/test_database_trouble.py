"""What PostgreSQL may do to a running consumer: deadlocks, serialization failures, time-outs, no room, no answer."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import extensions

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.store import migrate
from tests.consumer.consumer_process import ConsumerProcess, StartConsumer, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables
from tests.faults.freezing import freeze, thaw
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

pytestmark = pytest.mark.faults

QUICK = {"batch_age_ms": "100"}
WAITING = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'llm-audit-consumer' AND wait_event_type = 'Lock'"
)

DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


def database_errors(consumer: ConsumerProcess) -> float:
    return consumer.metrics().value("llm_audit_consumer_errors_total", kind="database") or 0


@contextmanager
def session(dsn: str) -> Iterator[extensions.cursor]:
    """A transaction of somebody else's, rolled back unless it commits."""
    connection = psycopg2.connect(dsn)
    try:
        yield connection.cursor()
    finally:
        connection.close()


def assert_all_stored(tables: Tables, sent: list[str], dead_letters: int = 0) -> None:
    assert sorted(tables.request_ids()) == sorted(sent)
    assert tables.dead_letter_count() == dead_letters


def test_a_deadlock_costs_a_batch_nothing_but_another_try(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    consumer = start(topic, database.dsn, **QUICK)
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    with session(database.dsn) as other:
        # It never gives up by itself, so that the consumer's transaction is the one that is ended.
        other.execute("SET deadlock_timeout = '1h'")
        other.execute("SELECT 1 FROM llm_audit_offset FOR UPDATE")
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: tables.query(WAITING) != [], "the consumer to wait for the other's lock")
        other.execute(
            "LOCK TABLE llm_audit_log IN ACCESS EXCLUSIVE MODE"
        )  # which waits for the consumer's rows
        eventually(lambda: tables.query(DEADLOCKS) != [(0,)], "the deadlock")
    eventually(lambda: tables.row_count() == 60, "the rows")
    assert_all_stored(tables, sent)
    assert consumer.get("/readyz")[0] == 200


def test_a_serialization_failure_is_tried_again(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    """As where the operator has set every transaction to be serializable."""
    tables.query(f'ALTER DATABASE "{database.name}" SET default_transaction_isolation = serializable')
    consumer = start(topic, database.dsn, **QUICK)
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    with session(database.dsn) as other:
        other.execute("UPDATE llm_audit_offset SET next_offset = next_offset")
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: tables.query(WAITING) != [], "the consumer to wait for the other's lock")
        other.connection.commit()
        eventually(lambda: database_errors(consumer) >= 1, "the failure")
    eventually(lambda: tables.row_count() == 60, "the rows")
    assert_all_stored(tables, sent)
    assert "could not serialize" in consumer.wait_for_log("failed, and is tried again")["error"]


def test_a_statement_timeout_of_the_operators_is_tried_again(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    tables.query(f'ALTER DATABASE "{database.name}" SET lock_timeout = 200')
    consumer = start(topic, database.dsn, **QUICK)
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    with session(database.dsn) as other:
        other.execute("SELECT 1 FROM llm_audit_offset FOR UPDATE")
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: database_errors(consumer) >= 2, "time-outs")
        assert consumer.get("/readyz")[0] == 503
    eventually(lambda: tables.row_count() == 60, "the rows")
    assert_all_stored(tables, sent)


def test_a_disk_without_room_holds_the_batch_until_there_is_some(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    """The server's largest file is bounded (RLIMIT_FSIZE), which PostgreSQL meets as it meets a full disk."""
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(tmp_path / "postgres", settings=("fsync=off",))
        with largest_file(
            20 * 1024 * 1024 + 100
        ):  # above a WAL segment's 16 MiB, or the server would end itself
            stack.enter_context(postgres)
        migrate(postgres.dsn)
        tables = Tables(postgres.dsn)
        consumer = start(topic, postgres.dsn, batch_messages="10", **QUICK)
        large = os.urandom(100_000).hex()  # does not compress to nothing
        sent = send_entries(kafka_broker.bootstrap_servers, topic, 240, error_message=large)
        eventually(lambda: database_errors(consumer) >= 2, "no room")
        stored = tables.row_count()
        assert 0 < stored < 240
        assert sum(tables.offsets().values()) == stored, "rows and offsets do not agree"
        assert consumer.get("/readyz")[0] == 503
        assert consumer.get("/healthz")[0] == 200, "a restart would not help"
        postgres.restart()  # with room
        eventually(lambda: tables.row_count() == 240, "all rows")
        assert_all_stored(tables, sent)
        eventually(lambda: consumer.get("/readyz")[0] == 200, "ready again")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """What is started within it can write no larger file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_database_that_never_answers_shows_in_healthz_until_it_does(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", ephemeral=True) as postgres:
        migrate(postgres.dsn)
        tables = Tables(postgres.dsn)
        consumer = start(topic, postgres.dsn, stuck_seconds="2", **QUICK)
        sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: tables.row_count() == 30, "the first rows")
        assert consumer.get("/healthz")[0] == 200
        freeze(postgres.pid)
        try:
            sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
            eventually(lambda: consumer.get("/healthz")[0] == 503, "stuck")
            assert "no turn of the loop" in consumer.get("/healthz")[1]
        finally:
            thaw(postgres.pid)
        eventually(lambda: tables.row_count() == 60, "all rows")
        eventually(lambda: consumer.get("/healthz")[0] == 200, "no longer stuck")
        assert_all_stored(tables, sent)


@pytest.mark.long_form
def test_a_server_that_is_killed_again_and_again_under_load(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    """Whatever instant of a transaction it dies in."""
    with EmbeddedPostgres(tmp_path / "postgres", settings=("fsync=off",)) as postgres:
        migrate(postgres.dsn)
        tables = Tables(postgres.dsn)
        start(topic, postgres.dsn, batch_messages="20")
        sent: list[str] = []
        for _ in range(3):
            sent += send_entries(kafka_broker.bootstrap_servers, topic, 1000)
            before = tables.row_count()
            eventually(lambda than=before: tables.row_count() > than, "rows")  # type: ignore[misc]  # its default
            os.kill(postgres.pid, signal.SIGKILL)
            postgres.restart()
        eventually(lambda: tables.row_count() >= len(sent), "all rows", seconds=60)
        assert_all_stored(tables, sent)
