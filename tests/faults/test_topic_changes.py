"""A topic that changes under a running consumer: more partitions, fewer messages, another topic of the same name."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.consumer.consumer_process import ConsumerProcess, StartConsumer, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables, topic_id
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

SHORT_SESSION = {"session_timeout": "6", "batch_age_ms": "100"}

pytestmark = pytest.mark.faults


def admin_of(broker: KafkaUnderTest) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap_servers})


def test_partitions_that_are_added_are_read_from_their_first_message(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    consumer = start(topic, database.dsn, **SHORT_SESSION)
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    admin = admin_of(kafka_broker)
    admin.create_partitions([NewPartitions(topic, 5)])[topic].result(30)
    eventually(
        lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 5, "five partitions"
    )
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 50, partitions=5)
    eventually(lambda: tables.row_count() == 80, "the rows of all five", seconds=60)
    assert sorted(tables.request_ids()) == sorted(sent)
    assert tables.offsets() == {0: 20, 1: 20, 2: 20, 3: 10, 4: 10}
    eventually(
        lambda: consumer.metrics().value("llm_audit_consumer_assigned_partitions") == 5, "five of them"
    )


def test_a_topic_that_is_truncated_ahead_of_a_running_consumer_says_what_was_lost(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    consumer = start(topic, database.dsn, batch_age_ms="100")
    send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    admin = admin_of(kafka_broker)
    with frozen(consumer):
        send_entries(kafka_broker.bootstrap_servers, topic, 30)
        for future in admin.delete_records([TopicPartition(topic, 2, 20)]).values():
            future.result(30)
    # What the broker had sent before it was told to delete, the consumer may still have read.
    send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.offsets() == {0: 30, 1: 30, 2: 30}, "the rest")
    lost = 90 - tables.row_count()
    assert lost in (0, 10)
    counted = consumer.metrics().value("llm_audit_consumer_offsets_lost_total", topic=topic, partition="2")
    assert (counted or 0) == lost
    if lost:
        line = consumer.wait_for_log("offset out of range")
        assert (line["level"], line["partition"], line["lost_offsets"]) == ("error", 2, 10)


def test_a_topic_made_again_under_a_running_consumer_is_read_from_its_start(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    """The new topic has more messages than the old one had, so that the old offsets are in its range."""
    consumer = start(topic, database.dsn, batch_age_ms="100")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first topic's rows")
    admin = admin_of(kafka_broker)
    with frozen(consumer):
        admin.delete_topics([topic])[topic].result(30)
        eventually(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic's end")
        admin.create_topics([NewTopic(topic, num_partitions=3)])[topic].result(30)
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 90)
    eventually(lambda: tables.row_count() == 120, "the second topic's rows")
    assert sorted(tables.request_ids()) == sorted(sent)
    new_id = topic_id(kafka_broker.bootstrap_servers, topic)
    of_new = "SELECT sum(next_offset) FROM llm_audit_offset WHERE topic_id = %s"
    eventually(lambda: tables.query(of_new, new_id) == [(90,)], "the new topic's own offsets")
    assert consumer.wait_for_log("was deleted and made again")["level"] == "error"


@contextmanager
def frozen(consumer: ConsumerProcess) -> Iterator[None]:
    """Within it the consumer sees nothing; not for so long that its group gives it up."""
    consumer.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        consumer.send_signal(signal.SIGCONT)
