"""Up to which moment a partition has been read: what was sent after it may merely not have been read yet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

import structlog

from llm_audit_consumer.batch import Message, Partition
from llm_audit_consumer.errors import DatabaseUnavailableError

logger = structlog.get_logger(__name__)

INTERVAL_SECONDS = 5.0


class ProgressStore(Protocol):
    """Keeps progress."""

    def note_progress(self, group: str, read_through: Mapping[Partition, datetime]) -> None:
        """See :meth:`AuditStore.note_progress`."""
        ...


class Watermarks(Protocol):
    """Knows how long a partition is."""

    def high_watermark(self, partition: Partition) -> int | None:
        """Offset that the next message will get; ``None`` while not known."""
        ...


def read_through(
    next_offsets: Mapping[Partition, int | None],
    oldest_waiting: Mapping[Partition, Message],
    watermarks: Watermarks,
    now: datetime,
) -> dict[Partition, datetime]:
    """The moment up to which each partition has been read, of those where it is known.

    Args:
        next_offsets: Where each partition stands; ``None`` where nothing of it was ever stored.
        oldest_waiting: The oldest message of each partition that was fetched and is not stored yet.
        watermarks: How long each partition is.
        now: A moment before which the watermarks were asked for.
    """
    known: dict[Partition, datetime] = {}
    for partition, next_offset in next_offsets.items():
        waiting, end = oldest_waiting.get(partition), watermarks.high_watermark(partition)
        if waiting is not None:
            known[partition] = min(waiting.timestamp, now)
        elif end is not None and (next_offset or 0) >= end:
            known[partition] = now
    return known


class ProgressKeeper:
    """Notes progress every few seconds.

    Args:
        store: Where it is kept.
        group: The consumer group.
    """

    def __init__(self, store: ProgressStore, group: str) -> None:
        self._store = store
        self._group = group
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Whether the next note is due."""
        return time.monotonic() >= self._next

    def note_if_due(
        self,
        next_offsets: Mapping[Partition, int | None],
        oldest_waiting: Mapping[Partition, Message],
        watermarks: Watermarks,
    ) -> None:
        """Note how far all partitions are; a failure costs nothing, as completeness is then judged later."""
        if not self.due:
            return
        self._next = time.monotonic() + INTERVAL_SECONDS
        known = read_through(next_offsets, oldest_waiting, watermarks, datetime.now(UTC))
        if not known:
            return
        try:
            self._store.note_progress(self._group, known)
        except DatabaseUnavailableError as error:
            logger.debug("progress was not noted", error=str(error))
