"""A batch that PostgreSQL refuses is split until the bad row is alone. With the real store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llm_audit_consumer.batch import DecodedBatch, Partition, Written
from llm_audit_consumer.batch_decoding import BatchDecoder, DecodedMessages
from llm_audit_consumer.batch_writer import UNSTORABLE, BatchWriter
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import OffsetConflictError, RetryableStoreError, UnstorableRowError
from llm_audit_consumer.store import AuditStore, migrate
from tests.consumer.entries import CODEC, PARTITION, message_of, messages_of, new_record
from tests.consumer.tables import Tables
from tests.parts.databases import Database

OTHER = Partition("topic-id", "entries", 1)
REFUSED = '{"a": 1e999999}'
"""JSON with a number beyond what jsonb holds; only PostgreSQL finds out."""


class WatchedStore(AuditStore):
    """The real store; notes each batch that committed, and fails when told."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.committed: list[list[tuple[int | None, int]]] = []
        self.fail_after: int | None = None

    def write(self, group: str, batch: DecodedBatch) -> Written:
        if self.fail_after is not None and len(self.committed) >= self.fail_after:
            raise RetryableStoreError("the test says so")
        written = super().write(group, batch)
        self.committed.append([(each.expected, each.next_offset) for each in batch.advances])
        return written


@pytest.fixture
def store(database: Database) -> Iterator[WatchedStore]:
    migrate(database.dsn)
    store = WatchedStore(database.dsn)
    yield store
    store.close()


@pytest.fixture
def writer(store: WatchedStore) -> BatchWriter:
    writer = BatchWriter(store, "group")
    writer.take_over({PARTITION: None})
    return writer


DECODER = BatchDecoder(Decoder(CODEC))


def decoded(*metadata: str, partition: Partition = PARTITION) -> DecodedMessages:
    """Messages at offsets from 0, each with its metadata."""
    return DECODER.decode(messages_of([new_record(metadata=each) for each in metadata], partition))


@pytest.mark.parametrize("bad", [0, 3, 6])
def test_one_refused_row_becomes_a_dead_letter_and_all_others_rows(
    writer: BatchWriter, store: WatchedStore, tables: Tables, bad: int
) -> None:
    messages = decoded(*["{}"] * bad, REFUSED, *["{}"] * (6 - bad))
    assert writer.write(messages) == Written(inserted=6, duplicates=0, dead_letters=1)
    ((offset, reason, value, identity, topic_id),) = tables.query(
        'SELECT "offset", reason, value, identity, topic_id FROM llm_audit_dead_letter'
    )
    refused = messages.messages[bad]
    assert (offset, reason, topic_id) == (bad, UNSTORABLE, "topic-id")
    assert (bytes(value), bytes(identity)) == (refused.value, refused.identity)
    assert tables.row_count() == 6
    assert tables.offsets() == {0: 7}
    steps = [step for (step,) in store.committed]
    assert [expected for expected, _ in steps] == [None, *[offset for _, offset in steps[:-1]]]
    assert steps[-1][1] == 7, "the offsets did not advance in order"


def test_a_batch_of_refused_rows_alone_becomes_dead_letters_alone(
    writer: BatchWriter, tables: Tables
) -> None:
    assert writer.write(decoded(REFUSED, REFUSED, REFUSED)) == Written(0, 0, 3)
    assert tables.dead_letter_reasons() == {UNSTORABLE: 3}
    assert tables.row_count() == 0
    assert writer.next_offsets == {PARTITION: 3}


def test_after_a_part_was_committed_only_the_rest_remains(
    writer: BatchWriter, store: WatchedStore, tables: Tables
) -> None:
    messages = decoded("{}", "{}", "{}", REFUSED)
    store.fail_after = 1
    with pytest.raises(RetryableStoreError):
        writer.write(messages)
    left = writer.remaining(messages)
    assert [each.offset for each in left.messages] == [2, 3]
    assert tables.offsets() == {0: 2}
    store.fail_after = None
    assert writer.write(left) == Written(1, 0, 1)
    assert tables.row_count() == 3
    assert tables.offsets() == {0: 4}


def test_nothing_remains_of_partitions_that_are_given_up(writer: BatchWriter) -> None:
    writer.take_over({OTHER: 1})
    both = [*decoded("{}", "{}").messages, *decoded("{}", "{}", partition=OTHER).messages]
    messages = DECODER.decode(both)
    assert [(each.partition, each.offset) for each in writer.remaining(messages).messages] == [
        (PARTITION, 0),
        (PARTITION, 1),
        (OTHER, 1),
    ]
    writer.give_up([PARTITION])
    assert [each.partition for each in writer.remaining(messages).messages] == [OTHER]


def test_a_writer_with_an_outdated_belief_writes_nothing(
    writer: BatchWriter, store: WatchedStore, tables: Tables
) -> None:
    messages = decoded("{}", "{}", "{}")
    zombie = BatchWriter(store, "group")
    zombie.take_over({PARTITION: None})
    first, second, rest = (
        messages.only(messages.messages[part]) for part in (slice(1), slice(1, 2), slice(1, 3))
    )
    writer.write(first)
    with pytest.raises(OffsetConflictError, match="stands at offset 1, expected None"):
        zombie.write(rest)
    writer.write(second)
    zombie.take_over({PARTITION: 1})
    with pytest.raises(OffsetConflictError, match="stands at offset 2, expected 1"):
        zombie.write(rest)
    assert tables.row_count() == 2


def test_a_dead_letter_that_is_refused_itself_is_not_split_forever() -> None:
    class Refusing:
        def write(self, group: str, batch: DecodedBatch) -> Written:
            raise UnstorableRowError("no")

    message = message_of(b"junk")
    with pytest.raises(UnstorableRowError):
        BatchWriter(Refusing(), "group").write(DECODER.decode([message]))


def test_an_empty_batch_asks_the_database_for_nothing(writer: BatchWriter, store: WatchedStore) -> None:
    assert writer.write(DECODER.decode([])) == Written(0, 0)
    assert store.committed == []
