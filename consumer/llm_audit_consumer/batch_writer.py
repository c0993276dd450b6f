"""Writes decoded messages: a batch that the database refuses is split until the bad row is alone.

Keeps the one number that matters for each partition: the next offset, as it stands in the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from llm_audit_consumer.batch import DecodedBatch, Message, OffsetAdvance, Partition, Written
from llm_audit_consumer.batch_decoding import DecodedMessages
from llm_audit_consumer.completeness.ranges import ranges_of
from llm_audit_consumer.errors import UnstorableRowError

UNSTORABLE = "unstorable"
"""Reason of a dead letter that decoded well and that PostgreSQL refused."""


class BatchStore(Protocol):
    """Commits a batch with its offsets, or nothing of it."""

    def write(self, group: str, batch: DecodedBatch) -> Written:
        """See :meth:`AuditStore.write`."""
        ...


class BatchWriter:
    """Writes batches of one consumer group.

    Args:
        store: The database.
        group: The consumer group.
    """

    def __init__(self, store: BatchStore, group: str) -> None:
        self._store = store
        self._group = group
        self._next_offsets: dict[Partition, int | None] = {}

    @property
    def next_offsets(self) -> Mapping[Partition, int | None]:
        """The next offset of each partition that is ours; ``None`` where the database has none yet."""
        return self._next_offsets

    def take_over(self, next_offsets: Mapping[Partition, int | None]) -> None:
        """Partitions that became ours, with where they stand in the database."""
        self._next_offsets.update(next_offsets)

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """Partitions that are no longer ours."""
        for partition in partitions:
            self._next_offsets.pop(partition, None)

    def write(self, messages: DecodedMessages) -> Written:
        """Write messages; when this returns they are committed.

        After an error the part that was committed already is remembered, and :meth:`remaining` tells what is left.

        Raises:
            RetryableStoreError: nothing of what is left was committed; write it again.
            OffsetConflictError: a partition is no longer where this consumer believes.
            UnstorableRowError: PostgreSQL refuses even a dead letter.
        """
        if not messages:
            return Written(0, 0)
        batch = self._batch(messages)
        try:
            written = self._store.write(self._group, batch)
        except UnstorableRowError as error:
            return self._write_split(messages, error)
        for advance in batch.advances:
            self._next_offsets[advance.partition] = advance.next_offset
        return replace(written, reasons=Counter(each.reason for each in batch.dead_letters))

    def remaining(self, messages: DecodedMessages) -> DecodedMessages:
        """Those messages that are ours and not committed yet."""
        return messages.only([each for each in messages.messages if self._is_ahead(each)])

    def _is_ahead(self, message: Message) -> bool:
        if message.partition not in self._next_offsets:
            return False
        stands_at = self._next_offsets[message.partition]
        return stands_at is None or message.offset >= stands_at

    def _write_split(self, messages: DecodedMessages, error: UnstorableRowError) -> Written:
        if messages.entries:
            return self.write(messages.slowly())  # which finds what PostgreSQL was the first to see
        if len(messages) == 1:
            if messages.dead_letters:
                raise error  # the dead letter itself: splitting further would never end
            return self.write(messages.as_dead_letters(UNSTORABLE, str(error)))
        first, second = messages.halves()
        return self.write(first) + self.write(second)

    def _batch(self, messages: DecodedMessages) -> DecodedBatch:
        rows = messages.rows
        return DecodedBatch(
            rows=rows,
            dead_letters=messages.dead_letters,
            advances=[
                OffsetAdvance(partition, self._next_offsets.get(partition), next_offset)
                for partition, next_offset in messages.next_offsets.items()
            ],
            received=[
                *messages.entries.arrived,
                *ranges_of((row["producer_id"], row["sequence"]) for row in rows),
            ],
            entries=messages.entries,
        )
