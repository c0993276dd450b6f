"""Which way into the table: straight, or by way of the staging table that leaves duplicates out. Pure.

Straight is the shorter way, but one duplicate undoes the whole batch and leaves its rows dead in the table. So a
partition that brought a duplicate stays on the longer way until it has brought none for a while.
"""

from __future__ import annotations

from collections.abc import Iterable

from llm_audit_consumer.batch import Partition

CLEAN_BATCHES = 50
"""Batches without a duplicate after which a partition is trusted again."""


class DuplicateWatch:
    """Remembers which partitions have brought duplicates lately."""

    def __init__(self) -> None:
        self._batches_left: dict[Partition, int] = {}

    def expected_of(self, partitions: Iterable[Partition]) -> bool:
        """Whether a batch of these partitions is better staged."""
        return any(partition in self._batches_left for partition in partitions)

    def found(self, partitions: Iterable[Partition]) -> None:
        """A batch of these partitions had a duplicate; which of them brought it nobody can tell."""
        self._batches_left.update(dict.fromkeys(partitions, CLEAN_BATCHES))

    def found_none(self, partitions: Iterable[Partition]) -> None:
        """A batch of these partitions was committed and had no duplicate."""
        for partition in partitions:
            left = self._batches_left.get(partition)
            if left is not None and left > 1:
                self._batches_left[partition] = left - 1
            else:
                self._batches_left.pop(partition, None)
