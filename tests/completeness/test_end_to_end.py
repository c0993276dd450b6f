"""From real producers over the real Kafka into the database: complete where it is, and what is missing by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.group import cli
from llm_audit_producer import AuditLogger, KafkaSink
from llm_audit_schemas import AuditEntry, ProducerMarker
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.consumer.consumer_process import StartConsumer, consumers, eventually
from tests.parts.databases import Database
from tests.parts.messages import new_producer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker
from tests.store.rows import fetch


class Skipping(KafkaSink):
    """Swallows some entries, as a broker that lost them would."""

    swallowed: frozenset[int] = frozenset()

    def append(self, entry: AuditEntry) -> None:
        if entry.sequence not in self.swallowed:
            super().append(entry)


class Unending(KafkaSink):
    """Never says that it ended, as a process that is killed."""

    def mark(self, marker: ProducerMarker) -> None:
        if marker.kind != "ended":
            super().mark(marker)


@pytest.fixture
def start(kafka_broker: KafkaUnderTest) -> Iterator[StartConsumer]:
    with consumers(kafka_broker.bootstrap_servers) as starter:
        yield starter


def ask(database: Database, topic: str, markers: str) -> dict[str, Any]:
    result = CliRunner().invoke(
        cli,
        [
            *("completeness", "--json", "--all", "--dsn", database.dsn, "--group", topic, "--topic", topic),
            *("--markers-topic", markers, "--grace", "0", "--silence", "1"),
        ],
    )
    assert result.exit_code in (0, 1), result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {each["producer_id"]: each["verdict"] for each in answer["producers"]}


def test_whole_holed_and_killed_producers_are_told_apart(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker, database: Database, start: StartConsumer
) -> None:
    topic, markers = make_topic(3), make_topic(1)
    connection = KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers)
    consumer = start(topic, database.dsn, markers_topic=markers)
    stranger = new_producer(kafka_broker.bootstrap_servers)
    stranger.produce(markers, b"no marker at all", key=b"x")
    assert stranger.flush(30) == 0

    whole = AuditLogger(KafkaSink(connection, topic, markers_topic=markers), service="whole")
    holed_sink = Skipping(connection, topic, markers_topic=markers)
    holed_sink.swallowed = frozenset({3, 4, 9})
    holed = AuditLogger(holed_sink, service="holed")
    killed = AuditLogger(Unending(connection, topic, markers_topic=markers), service="killed")
    for logger in (whole, holed, killed):
        for _ in range(10):
            logger.log_request("u", "m")
        logger.close()

    wanted = {
        whole.producer_id: "complete",
        holed.producer_id: "missing",
        killed.producer_id: "unknown_tail",
    }
    eventually(lambda: verdicts(ask(database, topic, markers)) == wanted, "the three verdicts", 60)
    answer = ask(database, topic, markers)
    said = {each["producer_id"]: each for each in answer["producers"]}
    assert said[holed.producer_id]["missing"] == [[3, 4], [9, 9]]
    assert said[killed.producer_id]["unknown_after"] == 9
    assert said[whole.producer_id]["service"] == "whole"
    assert answer["summary"]["complete"] is False

    def exported() -> bool:
        page = consumer.metrics()
        return (
            page.value("llm_audit_completeness_missing_entries") == 3
            and page.value("llm_audit_completeness_producers", verdict="complete") == 1
        )

    consumer.terminate()  # the next one examines as it starts, and waits for nothing
    consumer = start(topic, database.dsn, markers_topic=markers)
    eventually(exported, "the gauges", 60)
    assert dead_markers(database, markers) == 1


def dead_markers(database: Database, markers: str) -> int:
    return int(
        fetch(database.dsn, f"SELECT count(*) FROM llm_audit_dead_letter WHERE topic = '{markers}'")[0][0]
    )


def test_a_missing_markers_topic_stops_nothing_and_is_said(
    kafka_broker: KafkaUnderTest, topic: str, database: Database, start: StartConsumer
) -> None:
    consumer = start(topic, database.dsn, markers_topic="there-is-no-such-topic")
    line = consumer.wait_for_log("markers are not followed")
    assert "has no topic 'there-is-no-such-topic'" in line["error"]
    logger = AuditLogger(KafkaSink(KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers), topic))
    logger.log_request("u", "m")
    logger.close()
    eventually(lambda: consumer.metrics().value("llm_audit_consumer_rows_total") == 1, "the entry's row")
    assert consumer.metrics().value("llm_audit_completeness_missing_entries") is None
    assert consumer.terminate() == 0
