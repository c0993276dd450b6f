"""What the daemon does from time to time, as the roles it is given."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.housekeeping import MONTHS_AHEAD, Housekeeping, Task, months_task, retention_task
from llm_audit_consumer.retention.policies import shipped
from llm_audit_consumer.store import AuditStore
from tests.consumer.consumer_process import ConsumerProcess, consume_environment, eventually
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest
from tests.retention.trail import entry_at, rows_of
from tests.roles.logins import Logins
from tests.store.rows import GROUP, batch, count, fetch

LATEST = "SELECT max(relname)::text FROM pg_class WHERE relname ~ '^llm_audit_{}_\\d{{4}}_\\d\\d$' AND relkind = 'r'"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def start(registry: CollectorRegistry) -> Iterator[list[Housekeeping]]:
    started: list[Housekeeping] = []
    yield started
    for each in started:
        each.stop()


def test_a_task_that_fails_is_counted_and_tried_again(
    registry: CollectorRegistry, start: list[Housekeeping]
) -> None:
    turns, enough = list[str](), threading.Event()

    def fails() -> None:
        turns.append("fails")
        raise ConfigurationError("no") if len(turns) < 3 else ValueError("odd")

    def works() -> None:
        turns.append("works")
        if turns.count("fails") >= 3:
            enough.set()

    housekeeping = Housekeeping([Task("fails", 0.01, fails), Task("works", 0.01, works)], registry)
    start.append(housekeeping)
    housekeeping.start()
    assert enough.wait(20)
    failures = registry.get_sample_value("llm_audit_housekeeping_failures_total", {"task": "fails"})
    assert failures is not None
    assert failures >= 3
    succeeded = "llm_audit_housekeeping_last_success_timestamp_seconds"
    assert registry.get_sample_value(succeeded, {"task": "fails"}) is None
    assert registry.get_sample_value(succeeded, {"task": "works"}) is not None


def test_the_writer_makes_months_ahead(trail: Database, new_login: Logins) -> None:
    ahead = f"{datetime.now(UTC) + MONTHS_AHEAD:%Y_%m}"
    before = {table: fetch(trail.dsn, LATEST.format(table))[0][0] for table in ("log", "content")}
    task = months_task(new_login(trail.dsn, "llm_audit_writer"), ahead=timedelta(days=400))
    task.work()
    for table, latest in before.items():
        assert latest >= f"llm_audit_{table}_{ahead}"
        made = fetch(trail.dsn, LATEST.format(table))[0][0]
        assert made == f"llm_audit_{table}_{datetime.now(UTC) + timedelta(days=400):%Y_%m}"


def test_retention_runs_under_its_own_login(trail: Database, new_login: Logins) -> None:
    store = AuditStore(trail.dsn)
    old = entry_at(datetime.now(UTC) - timedelta(days=1000), "standard", random.Random(1))
    store.write(GROUP, batch(rows_of([old]), None, 1))
    store.close()
    with pytest.raises(ConfigurationError, match="permission denied") as caught:
        retention_task(new_login(trail.dsn, "llm_audit_writer"), shipped(), 24, 0).work()
    assert "llm_audit_retention" in caught.value.hint
    assert count(trail.dsn) == 1
    retention_task(new_login(trail.dsn, "llm_audit_retention"), shipped(), 24, 0).work()
    assert count(trail.dsn) == 0
    assert fetch(trail.dsn, "SELECT DISTINCT operator FROM llm_audit_retention_action") == [
        ("llm-audit consume",)
    ]


def test_the_daemon_keeps_house(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, new_login: Logins
) -> None:
    environment = consume_environment(
        kafka_broker.bootstrap_servers,
        topic,
        new_login(trail.dsn, "llm_audit_writer"),
        retention_every="1",
        retention_dsn=new_login(trail.dsn, "llm_audit_retention"),
    )
    with ConsumerProcess(environment).wait_started() as consumer:
        name = "llm_audit_housekeeping_last_success_timestamp_seconds"
        eventually(lambda: consumer.metrics().value(name, task="months") is not None, "the months task")
        assert consumer.metrics().value("llm_audit_housekeeping_failures_total", task="retention") == 0
        assert consumer.terminate() == 0
