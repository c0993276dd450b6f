"""A backlog of many full batches: everything arrives once and in order, and memory stays within its bound."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.benchmarks.made_up_entries import made_up_messages
from tests.consumer.consumer_process import StartConsumer, eventually
from tests.consumer.entries import send
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

ENTRIES = 45_000
PEAK_MEGABYTES = 250


def test_a_backlog_is_worked_off_within_bounded_memory(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    partitions = itertools.cycle(range(3))
    send(
        kafka_broker.bootstrap_servers,
        topic,
        ((next(partitions), value, identity) for _, value, identity in made_up_messages(ENTRIES)),
    )
    consumer = start(topic, database.dsn)
    eventually(lambda: sum(tables.offsets().values()) == ENTRIES, "all entries", seconds=120)
    page = consumer.metrics()
    assert page.value("llm_audit_consumer_rows_total") == tables.row_count() == ENTRIES
    assert (page.value("llm_audit_consumer_batch_messages_count") or 0) < ENTRIES / 1_000, "no batch was full"
    assert page.value("llm_audit_call_to_row_delay_seconds_count") == ENTRIES
    assert sum(page.values("llm_audit_calls_total").values()) == ENTRIES
    assert peak_megabytes(consumer.pid) < PEAK_MEGABYTES
    assert consumer.terminate() == 0


def peak_megabytes(pid: int) -> float:
    """The most memory a process has had resident: VmHWM in proc(5)'s status, in kilobytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1000
