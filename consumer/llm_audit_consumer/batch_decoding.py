"""Decodes a batch: the fast path takes every message it can, the slow path the others, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from llm_audit_consumer.batch import DeadLetter, Message, Partition
from llm_audit_consumer.columnar.entry_rows import NO_ENTRIES, EntryRows, read_entries
from llm_audit_consumer.decoding import Decoder, Outcome
from llm_audit_schemas.codec import Record


@dataclass(frozen=True, slots=True)
class DecodedMessages:
    """Messages in the order in which they were consumed, and what they became.

    Attributes:
        messages: The messages.
        entries: The rows of those that took the fast path.
        outcomes: What those that took the slow path became, in their order.
        next_offsets: By partition, the offset after its last message here.
        decoder: What decoded them.
    """

    messages: Sequence[Message]
    entries: EntryRows
    outcomes: Sequence[Outcome]
    next_offsets: Mapping[Partition, int]
    decoder: BatchDecoder

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def rows(self) -> list[Record]:
        """The rows of messages that took the slow path."""
        return [each for each in self.outcomes if not isinstance(each, DeadLetter)]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        """What cannot become a row."""
        return [each for each in self.outcomes if isinstance(each, DeadLetter)]

    def slowly(self) -> DecodedMessages:
        """The same messages by the slow path alone."""
        return self.decoder.decode_slowly(self.messages)

    def halves(self) -> tuple[DecodedMessages, DecodedMessages]:
        """The messages in two parts, both by the slow path alone."""
        middle = len(self) // 2
        return self.decoder.decode_slowly(self.messages[:middle]), self.decoder.decode_slowly(
            self.messages[middle:]
        )

    def as_dead_letters(self, reason: str, detail: str) -> DecodedMessages:
        """The same messages as dead letters, for a reason found later."""
        letters = [DeadLetter(each, reason, detail) for each in self.messages]
        return replace(self, entries=NO_ENTRIES, outcomes=letters)

    def only(self, messages: Sequence[Message]) -> DecodedMessages:
        """Some of the messages."""
        return self if len(messages) == len(self) else self.decoder.decode(messages)


class BatchDecoder:
    """Decodes batches of messages.

    Args:
        slow: Decodes a message by itself; what the fast path leaves alone is its to judge.
    """

    def __init__(self, slow: Decoder) -> None:
        self._slow = slow

    def decode(self, messages: Sequence[Message]) -> DecodedMessages:
        """Decode messages, by the fast path where it goes."""
        if not messages:
            return self._decoded(messages, NO_ENTRIES, messages)
        entries, taken = read_entries(
            [each.value for each in messages], [each.identity for each in messages], self._slow.own_schema_ids
        )
        left = [] if taken.all() else [messages[number] for number in (~taken).nonzero()[0].tolist()]
        return self._decoded(messages, entries, left)

    def decode_slowly(self, messages: Sequence[Message]) -> DecodedMessages:
        """Decode messages one by one."""
        return self._decoded(messages, NO_ENTRIES, messages)

    def _decoded(
        self, messages: Sequence[Message], entries: EntryRows, left: Sequence[Message]
    ) -> DecodedMessages:
        return DecodedMessages(
            messages,
            entries,
            [self._slow.decode_one(each) for each in left],
            {each.partition: each.offset + 1 for each in messages},
            self,
        )
