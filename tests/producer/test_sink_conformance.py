"""What every sink promises, tried on each of them: the real Kafka and the real PostgreSQL among them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest

from llm_audit_consumer.store import migrate
from llm_audit_producer import FileAuditStorage, KafkaSink, MemorySink, PostgresAuditStorage
from llm_audit_producer.sinks import AuditSink
from llm_audit_schemas import AuditEntry, EntryCodec
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.parts.messages import consume_count, new_consumer
from tests.producer.sinks import Ledger, entries, full_entry


class Place(ABC):
    """One kind of sink, and how to read back what arrived there."""

    @abstractmethod
    def sink(self) -> AuditSink: ...

    @abstractmethod
    def read(self, sinks: list[AuditSink], count: int) -> list[AuditEntry]: ...


class InMemory(Place):
    def sink(self) -> AuditSink:
        return MemorySink()

    def read(self, sinks: list[AuditSink], count: int) -> list[AuditEntry]:
        return [one for sink in sinks if isinstance(sink, MemorySink) for one in sink.entries]


class InFiles(Place):
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def sink(self) -> AuditSink:
        return FileAuditStorage(self._directory / "made" / "when missing")

    def read(self, sinks: list[AuditSink], count: int) -> list[AuditEntry]:
        return list(FileAuditStorage(self._directory / "made" / "when missing").query())


class InPostgres(Place):
    def __init__(self, dsn: str) -> None:
        migrate(dsn)
        self._dsn = dsn

    def sink(self) -> AuditSink:
        return PostgresAuditStorage(self._dsn)

    def read(self, sinks: list[AuditSink], count: int) -> list[AuditEntry]:
        return [entry_of_row(dict(row)) for row in PostgresAuditStorage(self._dsn).query()]


class OnKafka(Place):
    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic

    def sink(self) -> AuditSink:
        return KafkaSink(KafkaConnection(bootstrap_servers=self._bootstrap_servers), self._topic)

    def read(self, sinks: list[AuditSink], count: int) -> list[AuditEntry]:
        consumer = new_consumer(self._bootstrap_servers, f"group-{self._topic}")
        consumer.subscribe([self._topic])
        try:
            return [EntryCodec().decode(message.value()) for message in consume_count(consumer, count)]
        finally:
            consumer.close()


def entry_of_row(row: dict[str, object]) -> AuditEntry:
    """A row's columns as the entry they came from, each column's value as it is."""
    row.pop("created_at")
    names = row["tool_names"]
    row["tool_names"] = None if names is None else tuple(names)  # type: ignore[arg-type]  # an array, or TypeError
    for name in ("prev_digest", "entry_mac"):
        value = row[name]
        row[name] = None if value is None else bytes(value)  # type: ignore[call-overload]  # bytea
    return AuditEntry(**row)  # type: ignore[arg-type]  # unknown columns would be a TypeError


@pytest.fixture(params=["memory", "file", "postgres", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        return InMemory()
    if request.param == "file":
        return InFiles(tmp_path)
    if request.param == "postgres":
        return InPostgres(request.getfixturevalue("database").dsn)
    return OnKafka(
        request.getfixturevalue("kafka_broker").bootstrap_servers, request.getfixturevalue("topic")
    )


@pytest.fixture
def open_sink(place: Place) -> Iterator[Callable[[], tuple[AuditSink, Ledger]]]:
    opened: list[AuditSink] = []

    def make() -> tuple[AuditSink, Ledger]:
        sink, ledger = place.sink(), Ledger()
        sink.open(ledger)
        opened.append(sink)
        return sink, ledger

    yield make
    for sink in opened:
        sink.close(10)


OpenSink = Callable[[], tuple[AuditSink, Ledger]]


def test_every_entry_is_reported_once_and_reads_back_equal_in_order(
    place: Place, open_sink: OpenSink
) -> None:
    sink, ledger = open_sink()
    given = entries(100)
    for one in given:
        sink.append(one)
    assert sink.flush(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (100, [])
    assert sink.close(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (100, [])
    assert place.read([sink], 100) == given


def test_every_field_reads_back_equal(place: Place, open_sink: OpenSink) -> None:
    sink, ledger = open_sink()
    given = full_entry()
    defaults = {field.name: field.default for field in dataclasses.fields(AuditEntry)}
    assert [name for name, default in defaults.items() if getattr(given, name) == default] == []
    sink.append(given)
    assert sink.close(30) == 0
    assert ledger.delivered_count == 1
    assert place.read([sink], 1) == [given]


def test_closing_is_idempotent_and_possible_before_anything(place: Place, open_sink: OpenSink) -> None:
    unopened = place.sink()
    assert (unopened.flush(1), unopened.close(1), unopened.close(1)) == (0, 0, 0)
    sink, ledger = open_sink()
    assert sink.flush(1) == 0
    sink.append(entries(1)[0])
    assert (sink.close(30), sink.close(30), sink.flush(1)) == (0, 0, 0)
    assert ledger.delivered_count == 1


def test_after_a_fork_there_is_a_usable_one(place: Place, open_sink: OpenSink) -> None:
    """The parent's goes on too. (The fork itself is tried in test_processes.)"""
    sink, ledger = open_sink()
    mine, childs = entries(10), entries(10)
    for one in mine[:5]:
        sink.append(one)
    other, other_ledger = sink.after_fork(), Ledger()
    other.open(other_ledger)
    for one in childs:
        other.append(one)
    for one in mine[5:]:
        sink.append(one)
    assert other.close(30) == 0
    assert sink.close(30) == 0
    assert (ledger.delivered_count, other_ledger.delivered_count) == (10, 10)
    found = place.read([sink, other], 20)
    for given in (mine, childs):
        assert [one for one in found if one.producer_id == given[0].producer_id] == given


def test_text_that_a_store_may_refuse_arrives_all_the_same(place: Place, open_sink: OpenSink) -> None:
    sink, ledger = open_sink()
    sink.append(
        entries(
            1, user_id="\x00u\ud800", metadata={"\x00": "\udfff"}, error_message="\x00", tool_names=("\x00",)
        )[0]
    )
    assert sink.close(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (1, [])
    (found,) = place.read([sink], 1)
    assert found.sequence == 0


def test_the_row_is_readable_by_whoever_asks_sql(database: object, tmp_path: Path) -> None:
    """A column named as the entry's field holds the field: not by the sink's own reading."""
    dsn = database.dsn  # type: ignore[attr-defined]  # tests.parts.databases.Database
    migrate(dsn)
    sink = PostgresAuditStorage(dsn)
    given = full_entry()
    sink.open(Ledger())
    sink.append(given)
    sink.close(10)
    connection = psycopg2.connect(dsn)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(llm_audit_log) - 'created_at' FROM llm_audit_log")
            (row,) = cursor.fetchall()[0]
    finally:
        connection.close()
    said = given.as_json()
    assert set(row) == set(said)
    for name in set(row) - {"timestamp", "cost_usd", "prev_digest", "entry_mac"}:
        assert row[name] == said[name], name
    assert row["prev_digest"] == "\\x" + said["prev_digest"]  # type: ignore[operator]  # hex text
    assert row["timestamp"].startswith("2026-11-20T12:00:00.123456")
