"""What travels from the topic to the table: consumed messages, the batch they make, what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from llm_audit_consumer.completeness.ranges import SequenceRange
from llm_audit_schemas.codec import Record

if TYPE_CHECKING:  # it brings NumPy, which only the daemon needs
    from llm_audit_consumer.columnar.entry_rows import EntryRows


class Partition(NamedTuple):
    """One partition of one life of a topic. A topic that is deleted and made again has another ``topic_id``."""

    topic_id: str
    topic: str
    number: int


class Message(NamedTuple):
    """One consumed Kafka message; a tuple, which is the cheapest to make of what there are most of.

    Attributes:
        partition: Where it lay.
        offset: Its place there.
        timestamp: When the broker appended it (or the producer made it, by the topic's setting).
        key: Message key: the producer_id's bytes.
        value: Message value, ``None`` for a tombstone.
        identity: The value of the request_id header (16 bytes), or ``None`` where the header is missing.
    """

    partition: Partition
    offset: int
    timestamp: datetime
    key: bytes | None
    value: bytes | None
    identity: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that cannot become a row, kept whole with the reason."""

    message: Message
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class OffsetAdvance:
    """That a partition's next offset may move on, provided it still stands where this consumer believes.

    Attributes:
        partition: Whose offset.
        expected: The next offset this consumer last read or wrote; ``None`` where there was none stored.
        next_offset: The offset after the last message of the batch.
    """

    partition: Partition
    expected: int | None
    next_offset: int


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch ready to be written: rows, dead letters, and how far each partition advances with them.

    Attributes:
        rows: What goes into the log.
        dead_letters: What cannot.
        advances: Where each partition stands after it.
        received: Which sequences of which producers the rows bring: see ``completeness.ranges``.
        entries: Rows for the log that took the fast path; ``rows`` are then the others.
    """

    rows: Sequence[Record]
    dead_letters: Sequence[DeadLetter]
    advances: Sequence[OffsetAdvance]
    received: Sequence[SequenceRange] = ()
    entries: EntryRows | None = None

    @property
    def row_count(self) -> int:
        """How many rows there are, whichever path they took."""
        return len(self.rows) + (0 if self.entries is None else len(self.entries))


@dataclass(frozen=True, slots=True)
class Written:
    """What one committed batch came to.

    Attributes:
        inserted: Rows new to the table.
        duplicates: Rows that were already there.
        dead_letters: Messages put into the dead-letter table.
        reasons: How many of these for each reason.
    """

    inserted: int
    duplicates: int
    dead_letters: int = field(default=0)
    reasons: Counter[str] = field(default_factory=Counter, compare=False)

    def __add__(self, other: Written) -> Written:
        return Written(
            self.inserted + other.inserted,
            self.duplicates + other.duplicates,
            self.dead_letters + other.dead_letters,
            self.reasons + other.reasons,
        )
