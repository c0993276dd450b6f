"""In a backlog the next batch is made ready while one is written: in order, one at a time, and undone if need be."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from llm_audit_consumer.batch import DecodedBatch, Message, OffsetAdvance, Partition, Written
from llm_audit_consumer.errors import OffsetConflictError, RetryableStoreError, SchemaMismatchError
from tests.consumer.entries import message_of, messages_of, new_record
from tests.consumer.test_daemon import FIRST, SECOND, ScriptedSource, ScriptedStore, assign, daemon_of

FULL = 8
"""Messages in a full batch."""

Step = Callable[[], list[Message]]


class GatedStore(ScriptedStore):
    """The first write ends only after the test has opened the gate; no two may be under way at once."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(*errors)
        self.began = threading.Event()
        self.gate = threading.Event()
        self._one_at_a_time = threading.Lock()

    def write(self, group: str, batch: DecodedBatch) -> Written:
        assert self._one_at_a_time.acquire(blocking=False), "two writes at once"
        try:
            self.began.set()
            assert self.gate.wait(10), "the loop waited for the write, and gathered nothing meanwhile"
            return super().write(group, batch)
        finally:
            self._one_at_a_time.release()

    def during_the_first_write(self, step: Step) -> Step:
        """A step that is taken while the first write is under way, which then ends."""

        def take() -> list[Message]:
            assert self.began.wait(10), "no write began"
            assert not self.gate.is_set()
            messages = step()
            self.gate.set()
            return messages

        return take


def deliver(partition: Partition, start: int, count: int = FULL) -> Step:
    def step() -> list[Message]:
        messages = messages_of([new_record() for _ in range(count)], partition)
        return [each._replace(offset=start + each.offset) for each in messages]

    return step


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource()


def test_a_full_batch_is_written_while_the_next_is_gathered_and_they_commit_in_order(
    source: ScriptedSource,
) -> None:
    store = GatedStore()
    daemon = daemon_of(source, store, FULL)
    source.script = [
        assign(source, FIRST),
        deliver(FIRST, 0),
        store.during_the_first_write(deliver(FIRST, FULL)),
        deliver(FIRST, 2 * FULL),
        deliver(FIRST, 3 * FULL, 1),
    ]
    daemon.run()
    ends = [(each.expected, each.next_offset) for each in store.advances]
    assert ends == [(None, 8), (8, 16), (16, 24), (24, 25)]


def test_a_small_batch_is_seen_through_at_once(source: ScriptedSource) -> None:
    store = ScriptedStore()
    daemon = daemon_of(source, store, FULL)
    stored: list[int] = []

    def look() -> list[Message]:
        stored.append(len(store.advances))
        return []

    source.script = [assign(source, FIRST), deliver(FIRST, 0, 1), look]
    daemon.run()
    assert stored == [1]


def test_what_was_made_ready_follows_once_the_database_is_back(source: ScriptedSource) -> None:
    store = GatedStore(RetryableStoreError("away"), RetryableStoreError("away"))
    daemon = daemon_of(source, store, FULL)
    source.script = [
        assign(source, FIRST),
        deliver(FIRST, 0),
        store.during_the_first_write(deliver(FIRST, FULL)),
        list,
        list,
        list,
    ]
    daemon.run()
    assert store.advances == [OffsetAdvance(FIRST, None, 8), OffsetAdvance(FIRST, 8, 16)]


def test_a_conflict_drops_what_was_made_ready_too(source: ScriptedSource) -> None:
    store = GatedStore(OffsetConflictError("advanced"))
    store.stands_at = {0: 7}
    daemon = daemon_of(source, store, FULL)
    source.script = [
        assign(source, FIRST),
        deliver(FIRST, 0),
        store.during_the_first_write(deliver(FIRST, FULL)),
        list,
    ]
    daemon.run()
    assert source.seeks == {FIRST: 7}
    assert store.advances == []


def test_a_partition_is_given_up_only_after_the_write_under_way(source: ScriptedSource) -> None:
    store = GatedStore()
    daemon = daemon_of(source, store, FULL)
    stored: list[OffsetAdvance] = []

    def revoke() -> list[Message]:
        threading.Timer(0.05, store.gate.set).start()
        source.revoked([FIRST])
        stored.extend(store.advances)
        return deliver(SECOND, 0, 2)()

    def revoke_during_the_write() -> list[Message]:
        assert store.began.wait(10)
        return revoke()

    source.script = [
        assign(source, FIRST, SECOND),
        deliver(FIRST, 0),
        revoke_during_the_write,
        list,
    ]
    daemon.run()
    assert stored == [OffsetAdvance(FIRST, None, 8)], "the next owner would have read the same messages"
    assert store.advances == [OffsetAdvance(FIRST, None, 8), OffsetAdvance(SECOND, None, 2)]


def test_what_was_made_ready_of_a_partition_that_is_taken_is_not_written(source: ScriptedSource) -> None:
    store = GatedStore(RetryableStoreError("away"))
    daemon = daemon_of(source, store, FULL)

    def revoke() -> list[Message]:
        source.revoked([SECOND])
        return []

    source.script = [
        assign(source, FIRST, SECOND),
        deliver(FIRST, 0),
        store.during_the_first_write(deliver(SECOND, 0)),
        revoke,
        list,
    ]
    daemon.run()
    assert store.advances == [OffsetAdvance(FIRST, None, 8)]


def test_an_error_that_trying_again_does_not_mend_ends_the_daemon_from_the_writing_thread_too(
    source: ScriptedSource,
) -> None:
    store = GatedStore(SchemaMismatchError("a column is missing"))
    daemon = daemon_of(source, store, FULL)
    source.script = [
        assign(source, FIRST),
        deliver(FIRST, 0),
        store.during_the_first_write(deliver(FIRST, FULL)),
    ]
    with pytest.raises(SchemaMismatchError):
        daemon.run()
    assert source.calls == ["close"]
    assert threading.active_count() == 1 or not any(
        each.name.startswith("writer") for each in threading.enumerate()
    )


def test_what_is_under_way_and_made_ready_is_written_at_a_stop(source: ScriptedSource) -> None:
    store = GatedStore()
    daemon = daemon_of(source, store, FULL)
    source.script = [
        assign(source, FIRST),
        deliver(FIRST, 0),
        store.during_the_first_write(lambda: [message_of(b"junk", offset=8)]),
    ]
    daemon.run()
    assert [each.next_offset for each in store.advances] == [8, 9]
