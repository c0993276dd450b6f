"""What happens when something goes wrong: other consumers, the database, the topic."""

from __future__ import annotations

import signal
from pathlib import Path

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.store import migrate
from tests.consumer.consumer_process import ConsumerProcess, StartConsumer, eventually
from tests.consumer.daemon_thread import daemon_thread
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables, topic_id
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

SHORT_SESSION = {"session_timeout": "6"}


def assigned(consumer: ConsumerProcess) -> float:
    return consumer.metrics().value("llm_audit_consumer_assigned_partitions") or 0


def errors(consumer: ConsumerProcess, kind: str) -> float:
    return consumer.metrics().value("llm_audit_consumer_errors_total", kind=kind) or 0


def total_lag(consumer: ConsumerProcess) -> float:
    return sum(consumer.metrics().values("llm_audit_consumer_lag_messages").values())


def test_two_consumers_share_the_partitions_and_one_takes_over_from_the_other(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    first = start(topic, database.dsn, **SHORT_SESSION)
    eventually(lambda: assigned(first) == 3, "all partitions for one")
    second = start(topic, database.dsn, **SHORT_SESSION)
    eventually(lambda: {assigned(first), assigned(second)} == {1, 2}, "shared partitions")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 600)
    eventually(lambda: tables.row_count() == 600, "the rows of both")
    for each in (first, second):
        assert (each.metrics().value("llm_audit_consumer_rows_total") or 0) >= 200, (
            "one of them wrote nothing"
        )
    lags = [set(each.metrics().values("llm_audit_consumer_lag_messages")) for each in (first, second)]
    assert not lags[0] & lags[1], "both report the lag of the same partition"
    second.kill()
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 600)
    eventually(lambda: tables.row_count() == 1200, "the rows of the partitions taken over")
    assert sorted(tables.request_ids()) == sorted(sent)
    eventually(lambda: assigned(first) == 3, "all partitions for the one that is left")


def test_a_consumer_that_finds_its_offsets_advanced_rolls_back_and_goes_on_from_there(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    """As after being frozen for so long that another one has done part of its work."""
    consumer = start(topic, database.dsn, batch_age_ms="1000")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    # The other consumer's doing: the next message of partition 1 is stored by it, not by us.
    tables.query("UPDATE llm_audit_offset SET next_offset = next_offset + 1 WHERE partition = 1")
    before = topic_id(kafka_broker.bootstrap_servers, topic)
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 59, "the rows after the conflict")
    assert errors(consumer, "offset_conflict") == 1
    eventually(lambda: total_lag(consumer) == 0, "no lag")
    assert tables.offsets() == {0: 20, 1: 20, 2: 20}
    missing = sent[31]  # the eleventh of partition 1: what the other consumer would have stored
    assert sorted(tables.request_ids()) == sorted(set(sent) - {missing})
    assert consumer.get("/readyz")[0] == 200
    assert topic_id(kafka_broker.bootstrap_servers, topic) == before


def test_a_frozen_consumer_comes_back_and_does_no_harm(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    frozen = start(topic, database.dsn, batch_age_ms="2000", **SHORT_SESSION)
    eventually(lambda: assigned(frozen) == 3, "all partitions")
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: total_lag(frozen) == 30, "entries in the frozen one's hands")
    frozen.send_signal(signal.SIGSTOP)
    successor = start(topic, database.dsn, **SHORT_SESSION)
    eventually(lambda: tables.row_count() == 30, "the successor's rows")
    frozen.send_signal(signal.SIGCONT)
    eventually(lambda: {assigned(frozen), assigned(successor)} == {1, 2}, "shared partitions")
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
    eventually(lambda: tables.row_count() == 60, "the rows of both")
    assert sorted(tables.request_ids()) == sorted(sent)
    assert tables.offsets() == {0: 20, 1: 20, 2: 20}


def test_a_database_that_goes_away_costs_nothing_but_time(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", ephemeral=True) as postgres:
        tables = Tables(postgres.dsn)
        consumer = start(topic, postgres.dsn)
        sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: tables.row_count() == 30, "the first rows")
        assert consumer.get("/readyz") == (200, '{"ok": true, "problems": {}}\n')
        postgres.stop()
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 30)
        eventually(lambda: consumer.get("/readyz")[0] == 503, "not ready")
        eventually(lambda: "PostgreSQL cannot be reached" in consumer.get("/readyz")[1], "the reason")
        assert consumer.get("/healthz")[0] == 200, "a restart would not help"
        eventually(lambda: total_lag(consumer) == 30, "the lag of what is held")
        sent += send_entries(kafka_broker.bootstrap_servers, topic, 60)
        eventually(lambda: total_lag(consumer) == 90, "the lag of what comes meanwhile")
        assert min(consumer.metrics().values("llm_audit_consumer_lag_seconds").values()) > 0
        assert errors(consumer, "database") > 0
        postgres.start()
        eventually(lambda: tables.row_count() == 120, "all rows")
        assert sorted(tables.request_ids()) == sorted(sent)
        eventually(lambda: consumer.get("/readyz")[0] == 200, "ready again")
        eventually(lambda: total_lag(consumer) == 0, "no lag")
        assert consumer.terminate() == 0


def test_a_stop_while_the_database_is_away_ends_in_time_and_the_next_one_stores_it_all(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", ephemeral=True) as postgres:
        tables = Tables(postgres.dsn)
        migrate(postgres.dsn)
        with daemon_thread(kafka_broker.bootstrap_servers, topic, postgres.dsn, stop_seconds=0.5) as running:
            eventually(lambda: running.health.problems == {}, "ready")
            postgres.stop()
            sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
            eventually(lambda: "database" in running.health.problems, "not ready")
            running.stop(within_seconds=10)
        postgres.start()
        assert tables.row_count() == 0
        start(topic, postgres.dsn)
        eventually(lambda: tables.row_count() == 30, "the rows")
        assert sorted(tables.request_ids()) == sorted(sent)


def test_partitions_that_become_ours_while_the_database_is_away_wait_for_it(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", ephemeral=True) as postgres:
        tables = Tables(postgres.dsn)
        migrate(postgres.dsn)
        sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
        postgres.stop()
        with daemon_thread(kafka_broker.bootstrap_servers, topic, postgres.dsn) as running:
            eventually(lambda: "database" in running.health.problems, "not ready")
            postgres.start()
            eventually(lambda: tables.row_count() == 30, "the rows")
            assert running.health.problems == {}
        assert sorted(tables.request_ids()) == sorted(sent)


def test_a_stop_is_obeyed_while_partitions_wait_for_the_database(
    kafka_broker: KafkaUnderTest, topic: str, tmp_path: Path
) -> None:
    with EmbeddedPostgres(tmp_path / "postgres", ephemeral=True) as postgres:
        migrate(postgres.dsn)
        postgres.stop()
        with daemon_thread(kafka_broker.bootstrap_servers, topic, postgres.dsn) as running:
            eventually(lambda: "database" in running.health.problems, "not ready")
            running.stop(within_seconds=10)


def test_a_topic_made_again_under_the_same_name_is_read_from_its_start(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    sent = send_entries(kafka_broker.bootstrap_servers, topic, 30)
    first = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 30, "the first topic's rows")
    assert first.terminate() == 0
    old_id = topic_id(kafka_broker.bootstrap_servers, topic)
    make_again(kafka_broker, topic)
    sent += send_entries(kafka_broker.bootstrap_servers, topic, 6)
    start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 36, "the second topic's rows")
    assert sorted(tables.request_ids()) == sorted(sent)
    new_id = topic_id(kafka_broker.bootstrap_servers, topic)
    assert new_id != old_id
    found = tables.query(
        f"SELECT topic_id, sum(next_offset) FROM llm_audit_offset WHERE topic = '{topic}' GROUP BY topic_id"
    )
    assert dict(found) == {old_id: 30, new_id: 6}


def make_again(broker: KafkaUnderTest, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    admin.delete_topics([topic])[topic].result(30)
    eventually(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic's end")
    admin.create_topics([NewTopic(topic, num_partitions=3)])[topic].result(30)


def test_offsets_that_the_broker_has_deleted_are_counted_and_reading_goes_on(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    send_entries(kafka_broker.bootstrap_servers, topic, 30)
    first = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 30, "the first rows")
    assert first.terminate() == 0
    send_entries(kafka_broker.bootstrap_servers, topic, 30)
    admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
    for future in admin.delete_records([TopicPartition(topic, 1, 17)]).values():
        future.result(30)
    second = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 30 + 20 + 3, "what the broker still has")
    line = second.wait_for_log("offset out of range")
    assert (
        line["level"],
        line["partition"],
        line["wanted_offset"],
        line["resumed_at"],
        line["lost_offsets"],
    ) == (
        "error",
        1,
        10,
        17,
        7,
    )
    lost = second.metrics().value("llm_audit_consumer_offsets_lost_total", topic=topic, partition="1")
    assert lost == 7
    assert tables.offsets() == {0: 20, 1: 20, 2: 20}


def test_a_consumer_whose_identity_another_one_took_ends(
    start: StartConsumer, topic: str, database: Database
) -> None:
    """A zombie that stayed would look healthy and do nothing."""
    first = start(topic, database.dsn, instance_id="same")
    eventually(lambda: assigned(first) == 3, "all partitions")
    second = start(topic, database.dsn, instance_id="same")
    eventually(lambda: assigned(second) == 3, "all partitions for its successor")
    assert first.wait() == 4
