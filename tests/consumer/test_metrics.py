"""What /metrics and /healthz say of a consumer that works, and of one that does not."""

from __future__ import annotations

import urllib.error
import urllib.request

from prometheus_client import CollectorRegistry

from llm_audit_consumer.batch import Partition
from llm_audit_consumer.health import Health, HealthServer
from llm_audit_consumer.metrics import MODEL_LIMIT, Metrics
from llm_audit_consumer.reporting import Reporter
from tests.consumer.consumer_process import StartConsumer, eventually
from tests.consumer.entries import CODEC, new_entry, new_record, send, send_entries, send_records
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

EXPECTED = {
    "llm_audit_consumer_lag_messages",
    "llm_audit_consumer_lag_seconds",
    "llm_audit_consumer_batch_messages_count",
    "llm_audit_consumer_batch_duration_seconds_count",
    "llm_audit_consumer_rows_total",
    "llm_audit_consumer_duplicates_total",
    "llm_audit_consumer_dead_letters_total",
    "llm_audit_consumer_last_success_timestamp_seconds",
    "llm_audit_consumer_assigned_partitions",
    "llm_audit_calls_total",
    "llm_audit_call_to_row_delay_seconds_count",
    "process_cpu_seconds_total",
}


def test_the_metrics_page_counts_what_was_done(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    servers = kafka_broker.bootstrap_servers
    send_entries(servers, topic, 6)
    send_entries(servers, topic, 3, model="claude-haiku-4-5", status="error", cost_usd=None)
    send(servers, topic, [(0, b"junk", None), (0, b"\x00\x00\x00\x00\x07x", None)])
    consumer = start(topic, database.dsn)
    eventually(lambda: sum(tables.offsets().values()) == 11, "every message handled")
    lags = "llm_audit_consumer_lag_messages"
    eventually(lambda: list(consumer.metrics().values(lags).values()) == [0, 0, 0], "lag 0")
    page = consumer.metrics()

    assert {name for name, _ in page.samples} >= EXPECTED
    assert page.value("llm_audit_consumer_rows_total") == 9
    assert page.value("llm_audit_consumer_duplicates_total") == 0
    assert page.values("llm_audit_consumer_dead_letters_total") == {
        frozenset({("reason", "not_framed")}): 1,
        frozenset({("reason", "unknown_schema_id")}): 1,
    }
    assert page.values("llm_audit_calls_total") == {
        frozenset({("model", "claude-opus-4-8"), ("status", "success")}): 6,
        frozenset({("model", "claude-haiku-4-5"), ("status", "error")}): 3,
    }
    assert page.value("llm_audit_consumer_assigned_partitions") == 3
    assert set(page.values("llm_audit_consumer_lag_seconds").values()) == {0.0}
    assert page.value("llm_audit_consumer_batch_messages_sum") == 11
    assert page.value("llm_audit_call_to_row_delay_seconds_count") == 9
    assert not [name for name, _ in page.samples if name.endswith("_created")]


def test_an_entry_that_was_there_already_is_a_duplicate_and_no_further_call(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    record = new_record()
    send_records(kafka_broker.bootstrap_servers, topic, [record])
    consumer = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == 1, "the row")
    send_records(kafka_broker.bootstrap_servers, topic, [record])
    eventually(lambda: consumer.metrics().value("llm_audit_consumer_duplicates_total") == 1, "the duplicate")
    page = consumer.metrics()
    assert page.value("llm_audit_consumer_rows_total") == 1
    assert sum(page.values("llm_audit_calls_total").values()) == 1


def test_models_beyond_the_bound_are_others(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    entries = [new_entry(model=f"model-{number}") for number in range(MODEL_LIMIT + 25)]
    send(kafka_broker.bootstrap_servers, topic, [(0, CODEC.encode(entry), None) for entry in entries])
    consumer = start(topic, database.dsn)
    eventually(lambda: tables.row_count() == len(entries), "the rows")
    eventually(lambda: len(consumer.metrics().values("llm_audit_calls_total")) > 0, "the calls counted")
    calls = consumer.metrics().values("llm_audit_calls_total")
    assert len(calls) == MODEL_LIMIT + 1
    assert calls[frozenset({("model", "other"), ("status", "success")})] == 25


def test_the_rest_of_the_pages(start: StartConsumer, topic: str, database: Database) -> None:
    consumer = start(topic, database.dsn)
    eventually(lambda: consumer.get("/readyz")[0] == 200, "ready")
    assert consumer.get("/healthz") == (200, '{"ok": true, "problems": {}}\n')
    assert consumer.get("/elsewhere")[0] == 404


class FixedWatermarks:
    def __init__(self, known: int | None) -> None:
        self.known = known

    def high_watermark(self, partition: Partition) -> int | None:
        return self.known


def lag_of(registry: CollectorRegistry) -> tuple[float | None, float | None]:
    labels = {"topic": "entries", "partition": "0"}
    messages = registry.get_sample_value("llm_audit_consumer_lag_messages", labels)
    return messages, registry.get_sample_value("llm_audit_consumer_lag_seconds", labels)


def test_a_lag_that_is_not_known_has_no_sample_at_all() -> None:
    registry = CollectorRegistry()
    reporter, partition = Reporter(Metrics(registry)), Partition("id", "entries", 0)
    success = "llm_audit_consumer_last_success_timestamp_seconds"

    reporter.lag({partition: 7}, {}, FixedWatermarks(None))
    assert lag_of(registry) == (None, None)
    assert registry.get_sample_value(success) == 0, "not known to be caught up is no success"
    reporter.lag({partition: 7}, {}, FixedWatermarks(9))
    assert lag_of(registry) == (2, None)
    assert registry.get_sample_value(success) == 0
    reporter.lag({partition: 9}, {}, FixedWatermarks(9))
    assert lag_of(registry) == (0, 0)
    assert registry.get_sample_value(success) != 0
    reporter.lag({partition: 9}, {}, FixedWatermarks(None))
    assert lag_of(registry) == (None, None), "it was known once, and is not now"
    reporter.lag({partition: 9}, {}, FixedWatermarks(9))
    reporter.lag({}, {}, FixedWatermarks(9))
    assert lag_of(registry) == (None, None), "the partition is no longer ours"


def test_healthz_fails_once_the_loop_is_stuck() -> None:
    now = [0.0]
    health = Health(lambda: now[0], stuck_seconds=120)
    server = HealthServer("127.0.0.1", 0, CollectorRegistry(), health)
    server.start()
    try:
        assert status_of(server.port, "/healthz") == 200
        assert status_of(server.port, "/readyz") == 503, "it has only just begun"
        now[0] = 121
        assert status_of(server.port, "/healthz") == 503
        health.turned()
        assert status_of(server.port, "/healthz") == 200
    finally:
        server.stop()


def status_of(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
