"""Who reads which partitions: static identities, and rebalances that take no more than they must."""

from __future__ import annotations

import pytest

from tests.consumer.consumer_process import ConsumerProcess, StartConsumer, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

pytestmark = pytest.mark.faults

QUICK = {"batch_age_ms": "100"}


def assigned(consumer: ConsumerProcess) -> float:
    return consumer.metrics().value("llm_audit_consumer_assigned_partitions") or 0


def moves(consumer: ConsumerProcess, event: str) -> list[int]:
    """The partitions that came or went, in order."""
    return [number for line in consumer.log if line["event"] == event for number in line["partitions"]]


def test_a_static_member_comes_back_to_its_partitions_and_nobody_else_notices(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    one = start(topic, database.dsn, instance_id="one", **QUICK)
    two = start(topic, database.dsn, instance_id="two", **QUICK)
    eventually(lambda: {assigned(one), assigned(two)} == {1, 2}, "shared partitions")
    before = (moves(two, "partitions assigned"), moves(two, "partitions revoked"))
    one.kill()
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    again = start(topic, database.dsn, instance_id="one", **QUICK)
    eventually(lambda: tables.row_count() == 30, "the rows")
    assert sorted(tables.request_ids()) == sorted(sent)
    assert (moves(two, "partitions assigned"), moves(two, "partitions revoked")) == before
    assert assigned(again) + assigned(two) == 3


def test_a_rebalance_takes_only_what_it_gives_to_another(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    """Cooperative: what stays with a consumer is read on without a stop."""
    first = start(topic, database.dsn, **QUICK)
    eventually(lambda: assigned(first) == 3, "all partitions for one")
    second = start(topic, database.dsn, **QUICK)
    eventually(lambda: (assigned(first), assigned(second)) == (2, 1), "shared partitions")
    assert len(moves(first, "partitions revoked")) == 1
    assert moves(second, "partitions assigned") == moves(first, "partitions revoked")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    assert second.terminate() == 0
    eventually(lambda: assigned(first) == 3, "all partitions for the one that is left")
    assert len(moves(first, "partitions revoked")) == 1
    eventually(lambda: tables.row_count() == 30, "the rows")
    assert sorted(tables.request_ids()) == sorted(sent)
