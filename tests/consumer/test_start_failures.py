"""A consumer that cannot start says what is wrong and how to mend it, and exits with the code for that."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from structlog.testing import capture_logs

from llm_audit_consumer.cli import consume
from llm_audit_consumer.store import AuditStore, migrate
from tests.consumer.consumer_process import consume_environment, environment_of
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

PASSWORD = "s3cret-w0rd"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nothing listens, and nothing will while the test runs."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, float]:
    """Exit code, standard error and seconds of a `consume` that is expected to end by itself."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "llm_audit_consumer.cli", "consume", *arguments],
        env=environment_of(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr, time.monotonic() - started


def test_an_unreachable_database(kafka_broker: KafkaUnderTest, topic: str, nobody: str) -> None:
    dsn = f"postgresql://audit:{PASSWORD}@{nobody}/audit"
    environment = consume_environment(kafka_broker.bootstrap_servers, topic, dsn, startup_timeout="2")
    code, said, seconds = run(environment)
    assert code == 3
    assert "PostgreSQL cannot be reached" in said
    assert "hint: check that the server runs" in said
    assert PASSWORD not in said
    assert "Traceback" not in said
    assert seconds < 2 + 4, "it waited longer than it was told"


def test_a_wrong_password(kafka_broker: KafkaUnderTest, topic: str, database: Database) -> None:
    user, _, rest = database.dsn.removeprefix("postgresql://").partition(":")
    dsn = f"postgresql://{user}:{PASSWORD}@{rest.partition('@')[2]}"
    environment = consume_environment(kafka_broker.bootstrap_servers, topic, dsn, startup_timeout="1")
    code, said, _ = run(environment)
    assert code == 3
    assert "password authentication failed" in said
    assert PASSWORD not in said


def test_a_connection_string_that_cannot_be_read(kafka_broker: KafkaUnderTest, topic: str) -> None:
    dsn = f"postgresql://audit:{PASSWORD}@[host/audit"
    code, said, seconds = run(consume_environment(kafka_broker.bootstrap_servers, topic, dsn))
    assert code == 2
    assert "connection string cannot be read" in said
    assert PASSWORD not in said
    assert seconds < 10, "a mistake that waiting does not mend was waited for"


def test_an_unreachable_broker(database: Database, nobody: str) -> None:
    environment = consume_environment(nobody, "entries", database.dsn, startup_timeout="2")
    code, said, seconds = run(environment)
    assert code == 4
    assert f"Kafka at {nobody} does not answer" in said
    assert "hint: check that the broker runs" in said
    assert "Traceback" not in said
    assert seconds < 2 + 4


def test_a_missing_topic(kafka_broker: KafkaUnderTest, database: Database) -> None:
    environment = consume_environment(kafka_broker.bootstrap_servers, "no-such-topic", database.dsn)
    code, said, _ = run(environment)
    assert code == 4
    assert "has no topic 'no-such-topic'" in said
    assert "hint: make it with: llm-audit topic create" in said


def test_a_database_that_was_not_migrated(
    kafka_broker: KafkaUnderTest, topic: str, database: Database
) -> None:
    environment = consume_environment(kafka_broker.bootstrap_servers, topic, database.dsn, migrate="false")
    code, said, _ = run(environment)
    assert code == 5
    assert "llm-audit migrate" in said


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE llm_audit_log DROP COLUMN cost_reason",
        "ALTER TABLE llm_audit_log ALTER COLUMN cost_reason TYPE varchar(10)",
    ],
)
def test_an_altered_table_is_named_with_its_column(
    kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables, change: str
) -> None:
    migrate(database.dsn)
    tables.query(change)
    code, said, _ = run(consume_environment(kafka_broker.bootstrap_servers, topic, database.dsn))
    assert code == 5
    assert "llm_audit_log" in said
    assert "cost_reason" in said


@pytest.mark.parametrize("address", ["9464", "host:", "127.0.0.1:port", "127.0.0.1:70000", "127.0.0.1:²"])
def test_a_metrics_address_that_is_none(nobody: str, address: str) -> None:
    """Found before anything is waited for: neither server is there."""
    environment = consume_environment(nobody, "entries", f"postgresql://{nobody}/audit")
    code, said, seconds = run(environment | {"LLM_AUDIT_METRICS_ADDRESS": address})
    assert code == 2
    assert f"--metrics-address is {address!r}" in said
    assert "hint: write it as HOST:PORT" in said
    assert seconds < 10


def test_a_metrics_address_that_is_taken(
    kafka_broker: KafkaUnderTest, topic: str, database: Database
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environment = consume_environment(kafka_broker.bootstrap_servers, topic, database.dsn)
        code, said, _ = run(environment | {"LLM_AUDIT_METRICS_ADDRESS": address})
    assert code == 2
    assert f"cannot listen on --metrics-address {address}" in said


def test_a_long_report_does_not_keep_the_consumer_from_starting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making months wants the log for a moment, which a report that runs does not give."""
    migrate(database.dsn)
    monkeypatch.setattr(consume, "_MONTHS_AHEAD", timedelta(days=400))
    store = AuditStore(database.dsn)
    with closing(psycopg2.connect(database.dsn)) as report, closing(store), report.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM llm_audit_log")
        with capture_logs() as said:
            consume._make_months(store)
        assert [line["event"] for line in said if "lock timeout" in line["error"]] == [
            "the months ahead were not made; rows wait in llm_audit_log_after"
        ]
        report.rollback()
        consume._make_months(store)
        assert store.create_partitions((datetime.now(UTC) + timedelta(days=400)).date()) == 0
