"""The daemon's decisions, with a broker and a database that do exactly what the test says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from llm_audit_consumer.batch import DecodedBatch, Message, OffsetAdvance, Partition, Written
from llm_audit_consumer.batching import BatchLimits
from llm_audit_consumer.daemon import Daemon, DaemonSettings
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import OffsetConflictError, RetryableStoreError, SchemaMismatchError
from llm_audit_consumer.health import Health
from llm_audit_consumer.kafka.client import Assigned, KafkaSource, OutOfRange, Revoked
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.retry import RetryPolicy
from llm_audit_schemas import EntryCodec
from tests.consumer.entries import messages_of, new_record

FIRST, SECOND = Partition("topic-id", "entries", 0), Partition("topic-id", "entries", 1)


class ScriptedSource:
    """Answers each poll by the next step of a script, then asks the daemon to stop; silent while paused."""

    broker_error: str | None = None
    paused = False

    def __init__(self) -> None:
        self.script: list[Callable[[], list[Message]]] = []
        self.calls: list[str] = []
        self.seeks: dict[Partition, int | None] = {}
        self.at_the_end: Callable[[], None] = lambda: None

    def subscribe(self, assigned: Assigned, revoked: Revoked, out_of_range: OutOfRange) -> None:
        self.assigned, self.revoked = assigned, revoked

    def poll(self, most: int, timeout: float) -> list[Message]:
        if self.script:
            messages = self.script.pop(0)()
            return [] if self.paused else messages
        self.at_the_end()
        return []

    def pause(self) -> None:
        self.paused = True
        self.calls.append("pause")

    def resume(self) -> None:
        self.paused = False
        self.calls.append("resume")

    def seek(self, partition: Partition, offset: int | None) -> None:
        self.seeks[partition] = offset

    def advise(self, next_offsets: Mapping[Partition, int]) -> None:
        self.calls.append("advise")

    def high_watermark(self, partition: Partition) -> int | None:
        return None

    def close(self) -> None:
        self.calls.append("close")


class ScriptedStore:
    """Raises the scripted errors, one a write, and then stores."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.stands_at: dict[int, int] = {}
        self.advances: list[OffsetAdvance] = []

    def write(self, group: str, batch: DecodedBatch) -> Written:
        if self._errors:
            raise self._errors.pop(0)
        self.advances += batch.advances
        return Written(batch.row_count, 0, len(batch.dead_letters))

    def next_offsets(self, group: str, topic_id: str) -> dict[int, int]:
        return self.stands_at

    def note_progress(self, group: str, read_through: Mapping[Partition, datetime]) -> None:
        pass


def daemon_of(source: ScriptedSource, store: ScriptedStore, messages: int = 10_000) -> Daemon:
    daemon = Daemon(
        cast("KafkaSource", source),
        store,
        Decoder(EntryCodec()),
        DaemonSettings("group", BatchLimits(messages=messages, age_seconds=0), stop_seconds=0.2),
        Metrics(CollectorRegistry()),
        Health(time.monotonic, 60),
        lambda: 0.5,
        RetryPolicy(first_seconds=0, longest_seconds=0),
    )
    source.at_the_end = daemon.stop
    return daemon


def assign(source: ScriptedSource, *partitions: Partition) -> Callable[[], list[Message]]:
    def step() -> list[Message]:
        source.assigned(partitions)
        return []

    return step


def revoke(source: ScriptedSource, *partitions: Partition) -> Callable[[], list[Message]]:
    def step() -> list[Message]:
        source.revoked(partitions)
        return []

    return step


def deliver(partition: Partition, count: int) -> Callable[[], list[Message]]:
    return lambda: messages_of([new_record() for _ in range(count)], partition)


def test_a_batch_that_failed_is_written_once_the_database_is_back() -> None:
    source, store = ScriptedSource(), ScriptedStore(RetryableStoreError("away"), RetryableStoreError("away"))
    daemon = daemon_of(source, store)
    source.script = [assign(source, FIRST), deliver(FIRST, 3), list, list]
    daemon.run()
    assert store.advances == [OffsetAdvance(FIRST, None, 3)]
    assert source.calls == ["pause", "pause", "resume", "advise", "close"]


def test_partitions_do_not_stay_paused_for_a_batch_that_went_to_another_consumer() -> None:
    source, store = ScriptedSource(), ScriptedStore(RetryableStoreError("away"))
    daemon = daemon_of(source, store)
    source.script = [
        assign(source, FIRST, SECOND),
        deliver(FIRST, 3),
        revoke(source, FIRST),
        deliver(SECOND, 2),
        list,
    ]
    daemon.run()
    assert store.advances == [OffsetAdvance(SECOND, None, 2)]
    assert source.calls == ["pause", "resume", "advise", "close"]


def test_partitions_do_not_stay_paused_after_a_conflict_that_ends_an_outage() -> None:
    source = ScriptedSource()
    store = ScriptedStore(RetryableStoreError("away"), OffsetConflictError("advanced"))
    store.stands_at = {0: 2}
    daemon = daemon_of(source, store)
    source.script = [assign(source, FIRST), deliver(FIRST, 3), list, list]
    daemon.run()
    assert source.calls == ["pause", "resume", "close"]
    assert source.seeks == {FIRST: 2}
    assert store.advances == []


def test_a_conflict_reads_every_partition_again_from_where_the_database_says() -> None:
    source, store = ScriptedSource(), ScriptedStore(OffsetConflictError("advanced"))
    store.stands_at = {0: 7}
    daemon = daemon_of(source, store)
    source.script = [assign(source, FIRST, SECOND), deliver(FIRST, 3), list]
    daemon.run()
    assert source.seeks == {FIRST: 7, SECOND: None}
    assert store.advances == []


def test_messages_of_a_partition_that_was_taken_are_not_written() -> None:
    source, store = ScriptedSource(), ScriptedStore(RetryableStoreError("away"))
    daemon = daemon_of(source, store)
    source.script = [
        assign(source, FIRST, SECOND),
        lambda: deliver(FIRST, 2)() + deliver(SECOND, 2)(),
        revoke(source, SECOND),
        list,
    ]
    daemon.run()
    assert store.advances == [OffsetAdvance(FIRST, None, 2)]


def test_tables_that_do_not_fit_end_the_daemon_and_it_leaves_the_group() -> None:
    source, store = ScriptedSource(), ScriptedStore(SchemaMismatchError("a column is missing"))
    daemon = daemon_of(source, store)
    source.script = [assign(source, FIRST), deliver(FIRST, 1), list]
    with pytest.raises(SchemaMismatchError):
        daemon.run()
    assert source.calls == ["close"]


def test_a_broker_that_is_away_makes_it_not_ready() -> None:
    source = ScriptedSource()
    daemon = daemon_of(source, ScriptedStore())
    source.broker_error = "all brokers down"
    source.script = [assign(source, FIRST)]
    daemon.run()
    assert daemon._health.problems == {"broker": "all brokers down"}
