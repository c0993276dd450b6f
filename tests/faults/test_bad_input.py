"""Bad input at scale: the consumer stays up, every good entry is stored once, every bad message is a dead letter.

The short form sends 20,000 messages; the long form (LLM_AUDIT_FAULTS=long) a million.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from uuid import UUID

import pytest

from llm_audit_schemas.wire import IDENTITY_HEADER
from tests.consumer.consumer_process import ConsumerProcess, consumers, eventually
from tests.consumer.entries import CODEC, identity_of, new_record
from tests.consumer.tables import Tables
from tests.faults.bad_input import Sent, stream
from tests.faults.conftest import Say, is_long
from tests.parts.databases import Database
from tests.parts.messages import new_producer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

pytestmark = pytest.mark.faults

_SHORT, _LONG = 20_000, 1_000_000
_AT_A_TIME = 5_000
_MOST_MEGABYTES = 400
_LARGE_RECORDS = 300
_LARGE_BYTES = 900_000


@pytest.fixture
def rounds(topic: str) -> int:
    return _LONG if is_long() else _SHORT


def peak_megabytes(consumer: ConsumerProcess) -> int:
    """The most memory that the process has held at once, from the kernel's own books."""
    status = Path(f"/proc/{consumer.pid}/status").read_text(encoding="utf-8")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


def produce(bootstrap_servers: str, topic: str, messages: Iterator[Sent], books: Counter[str]) -> set[UUID]:
    """Send them all, and count what was sent by kind; returns the request ids that must be in the log."""
    producer, stored = new_producer(bootstrap_servers), set[UUID]()
    while part := list(islice(messages, _AT_A_TIME)):
        for number, each in enumerate(part):
            headers: list[tuple[str, str | bytes | None]] = (
                [] if each.identity is None else [(IDENTITY_HEADER, each.identity)]
            )
            producer.produce(topic, each.value, key=b"key", partition=number % 3, headers=headers)
            books[each.kind] += 1
            if each.request_id is not None:
                stored.add(each.request_id)
        assert producer.flush(60) == 0
    return stored


def test_bad_messages_cost_no_good_one(
    kafka_broker: KafkaUnderTest,
    topic: str,
    database: Database,
    rounds: int,
    rng: random.Random,
    say: Say,
) -> None:
    books, tables = Counter[str](), Tables(database.dsn)
    with consumers(kafka_broker.bootstrap_servers) as start:
        consumer = start(topic, database.dsn)
        started = time.monotonic()
        expected = produce(kafka_broker.bootstrap_servers, topic, stream(rng, rounds), books)
        eventually(lambda: sum(tables.offsets().values()) == rounds, "every message", 120 + rounds / 1000)
        seconds = time.monotonic() - started
        assert consumer.get("/healthz")[0] == 200
        eventually(lambda: _counted(consumer) == rounds, "the metrics")
        page = consumer.metrics()
        rows, bad = tables.row_count(), tables.dead_letter_reasons()
        say(
            f"{rounds} messages of {len(books)} kinds in {seconds:.0f} s: {rows} rows, {sum(bad.values())} dead "
            f"letters ({len(bad)} reasons), the consumer's peak {peak_megabytes(consumer)} MB"
        )
        assert {UUID(each) for each in tables.request_ids()} == expected
        assert rows == len(expected)
        assert sum(bad.values()) == rounds - rows
        assert {
            dict(labels)["reason"]: value
            for labels, value in page.values("llm_audit_consumer_dead_letters_total").items()
        } == bad
        assert page.value("llm_audit_consumer_rows_total") == rows
        assert page.value("llm_audit_consumer_duplicates_total") == 0
        assert peak_megabytes(consumer) < _MOST_MEGABYTES
        assert consumer.terminate() == 0


def _counted(consumer: ConsumerProcess) -> float:
    page = consumer.metrics()
    return (page.value("llm_audit_consumer_rows_total") or 0) + sum(
        page.values("llm_audit_consumer_dead_letters_total").values()
    )


def test_a_backlog_of_large_records_fits_into_bounded_memory(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker, database: Database, say: Say
) -> None:
    topic, tables = make_topic(partitions=3), Tables(database.dsn)
    text = "words that repeat " * (_LARGE_BYTES // 18)
    records = (new_record(error_message=text) for _ in range(_LARGE_RECORDS))
    sent = (
        Sent("large", CODEC.encode_record(each), identity_of(each), each["request_id"]) for each in records
    )
    producer = new_producer(kafka_broker.bootstrap_servers)
    for number, each in enumerate(sent):
        producer.produce(topic, each.value, partition=number % 3, headers=[(IDENTITY_HEADER, each.identity)])
        producer.flush(30)
    with consumers(kafka_broker.bootstrap_servers) as start:
        consumer = start(topic, database.dsn)
        eventually(lambda: tables.row_count() == _LARGE_RECORDS, "every record", 90)
        peak = peak_megabytes(consumer)
        say(f"{_LARGE_RECORDS} records of {_LARGE_BYTES // 1000} kB: the consumer's peak {peak} MB")
        assert peak < _MOST_MEGABYTES
