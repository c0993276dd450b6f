"""From the topic to the table, exactly once: plainly, over restarts, and over kill -9."""

from __future__ import annotations

import signal

from tests.consumer.consumer_process import StartConsumer, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables, advised_offsets, topic_id
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest


def assert_exactly_once(tables: Tables, sent: list[str]) -> None:
    assert sorted(tables.request_ids()) == sorted(sent)


def test_every_entry_becomes_one_row_and_the_offsets_follow(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 300)
    consumer = start(topic, database.dsn, group="plain")
    eventually(lambda: tables.row_count() == 300, "300 rows")
    assert_exactly_once(tables, sent)
    assert tables.query("SELECT DISTINCT consumer_group, topic_id, topic FROM llm_audit_offset") == [
        ("plain", topic_id(kafka_broker.bootstrap_servers, topic), topic)
    ]
    assert tables.offsets() == {0: 100, 1: 100, 2: 100}
    assert consumer.terminate() == 0
    assert advised_offsets(kafka_broker.bootstrap_servers, "plain", topic) == {0: 100, 1: 100, 2: 100}


def test_a_restart_goes_on_where_the_last_one_ended(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    first = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    assert first.terminate() == 0
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
    second = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 60, "the rows after the restart")
    assert_exactly_once(tables, sent)
    assert second.metrics().value("llm_audit_consumer_duplicates_total") == 0, (
        "the first ones were read again"
    )


def test_the_database_alone_says_where_to_go_on(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    """Kafka knows nothing of the group here; its own offsets are advice for others and never read."""
    send_entries(kafka_broker.bootstrap_servers, topic, 30)
    first = start(topic, database.dsn, group="before")
    eventually(lambda: tables.row_count() == 30, "the first rows")
    assert first.terminate() == 0
    tables.query("UPDATE llm_audit_offset SET consumer_group = 'after'")
    assert advised_offsets(kafka_broker.bootstrap_servers, "after", topic) == {}
    new = send_entries(kafka_broker.bootstrap_servers, topic, 3)
    second = start(topic, database.dsn, group="after")
    eventually(lambda: tables.row_count() == 33, "the new rows")
    page = second.metrics()
    assert page.value("llm_audit_consumer_rows_total") == len(new)
    assert page.value("llm_audit_consumer_duplicates_total") == 0


def test_kill_9_in_the_middle_loses_nothing_and_doubles_nothing(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 20_000)
    # With an identity of its own, its successor need not wait until the group has given it up.
    first = start(topic, database.dsn, batch_messages="200", instance_id="one")
    eventually(lambda: tables.row_count() > 0, "the first batch")
    first.kill()
    stored = tables.row_count()
    assert 0 < stored < len(sent), "it was not killed in the middle"
    assert sum(tables.offsets().values()) == stored, "rows and offsets did not commit together"
    second = start(topic, database.dsn, instance_id="one")
    eventually(lambda: tables.row_count() >= len(sent), "all rows", seconds=60)
    assert_exactly_once(tables, sent)
    assert second.metrics().value("llm_audit_consumer_duplicates_total") == 0


def test_sigterm_writes_what_was_gathered_and_exits_with_0(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    consumer = start(topic, database.dsn, batch_age_ms="60000")
    consumer.wait_for_log("partitions assigned")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 6)
    # The age of what waits in the batch shows that it was taken in, and the empty table that it waits.
    eventually(
        lambda: (
            len(consumer.metrics().values("llm_audit_consumer_lag_seconds")) == 3
            and min(consumer.metrics().values("llm_audit_consumer_lag_seconds").values()) > 0
        ),
        "entries waiting in all partitions",
    )
    assert tables.row_count() == 0
    assert consumer.terminate() == 0
    assert_exactly_once(tables, sent)
    assert consumer.log[-1]["event"] == "consumer stopped"


def test_sigint_stops_it_the_same_way(start: StartConsumer, topic: str, database: Database) -> None:
    consumer = start(topic, database.dsn)
    consumer.send_signal(signal.SIGINT)
    assert consumer.wait() == 0
