"""When a batch is full: by messages, bytes or age, whichever comes first. Pure; time is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from llm_audit_consumer.batch import Message, Partition

_MESSAGE_OVERHEAD_BYTES = 100
_LARGE = 4


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What ends a batch.

    Attributes:
        messages: Most messages.
        bytes: Most bytes of message values.
        age_seconds: Longest that its first message waits.
    """

    messages: int = 10_000
    bytes: int = 8 * 1024 * 1024
    age_seconds: float = 0.1


_FEW = 64


class Batcher:
    """Gathers messages until a limit is reached.

    Args:
        limits: What ends a batch.
        clock: Seconds on a clock that never goes back.
    """

    def __init__(self, limits: BatchLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._messages: list[Message] = []
        self._bytes = 0
        self._started = 0.0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def oldest(self) -> dict[Partition, Message]:
        """The first message that waits, by partition."""
        found: dict[Partition, Message] = {}
        for message in self._messages:
            found.setdefault(message.partition, message)
        return found

    @property
    def room(self) -> int:
        """How many more messages to take at once: as many as fit, going by the size of those that came.

        A few at first, as the next ones may be far larger than these: memory is bounded by bytes, not by messages.
        """
        waiting = len(self._messages)
        most = min(self._limits.messages - waiting, max(_FEW, waiting * 4))
        if not waiting:
            return most
        average = max(1, self._bytes // waiting)
        return min(most, max(1, (self._limits.bytes - self._bytes) // average))

    def add(self, messages: Iterable[Message]) -> None:
        """Take messages in the order in which they were consumed."""
        added = list(messages)
        if added and not self._messages:
            self._started = self._clock()
        self._messages += added
        self._bytes += sum([len(each.value or b"") for each in added]) + _MESSAGE_OVERHEAD_BYTES * len(added)

    def wait_seconds(self, longest: float) -> float:
        """How long to wait for further messages before this batch is due."""
        if not self._messages:
            return longest
        return min(longest, max(0.0, self._started + self._limits.age_seconds - self._clock()))

    @property
    def due(self) -> bool:
        """Whether the batch is to be written now."""
        if not self._messages:
            return False
        return self.full or self._clock() - self._started >= self._limits.age_seconds

    @property
    def full(self) -> bool:
        """Whether a limit of size is reached."""
        return len(self._messages) >= self._limits.messages or self._bytes >= self._limits.bytes

    @property
    def large(self) -> bool:
        """Whether a good part of a limit of size is reached: as a rule more is waiting behind it."""
        return (
            len(self._messages) * _LARGE >= self._limits.messages
            or self._bytes * _LARGE >= self._limits.bytes
        )

    def take(self) -> list[Message]:
        """The batch, which is then empty."""
        taken, self._messages, self._bytes = self._messages, [], 0
        return taken

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget the messages of partitions that are no longer ours; their next owner reads them again."""
        gone = set(partitions)
        kept = [message for message in self._messages if message.partition not in gone]
        started = self._started
        self._messages, self._bytes = [], 0
        self.add(kept)
        self._started = started
