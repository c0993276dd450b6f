"""Follows the topic on which producers tell of their own lives, beside the daemon's loop and apart from it.

A thread with a Kafka client and a database connection of its own: markers are few, and neither a broken one nor a
missing topic may hold up the entries. Markers and offsets commit in one transaction, as entries do. Whatever fails, the
follower lets go of everything and begins again from where the database says it stands.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from llm_audit_consumer.batch import DeadLetter, Message, OffsetAdvance, Partition
from llm_audit_consumer.completeness.metrics import CompletenessMetrics
from llm_audit_consumer.completeness.progress import ProgressKeeper
from llm_audit_consumer.completeness.report import Question, examine
from llm_audit_consumer.errors import AuditConsumerError
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.store.delivery import advance_offset, insert_dead_letters
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.producer_store import MarkedAt, note_markers, note_progress
from llm_audit_consumer.store.sql import statement
from llm_audit_schemas import MarkerCodec, UndecodableMessageError

logger = structlog.get_logger(__name__)

_MOST = 1000
_POLL_SECONDS = 0.5
_CHECK_SECONDS = 10.0
_AGAIN_SECONDS = (1.0, 5.0, 30.0)
_STATEMENT_TIMEOUT_MS = 60_000
_EXAMINE_SECONDS = 30.0
_EXAMINED = timedelta(days=7)

OpenSource = Callable[[], KafkaSource]
"""Joins the markers' consumer group; raises an ``AuditConsumerError`` where the client cannot be made."""

OpenDatabase = Callable[[], Database]
"""Connects; raises ``DatabaseUnavailableError`` where that fails."""


class MarkerFollower:
    """Moves markers from their topic into ``llm_audit_producer`` until it is stopped.

    Args:
        open_source: Makes the Kafka client.
        open_database: Makes the connection.
        codec: Reads markers.
        question: What is examined from time to time; its group keeps the offsets.
        metrics: Counts failures and dead letters.
        completeness: Told what each examination comes to.
    """

    def __init__(
        self,
        open_source: OpenSource,
        open_database: OpenDatabase,
        codec: MarkerCodec,
        question: Question,
        metrics: Metrics,
        completeness: CompletenessMetrics,
    ) -> None:
        self._open_source = open_source
        self._open_database = open_database
        self._codec = codec
        self._question = question
        self._metrics = metrics
        self._completeness = completeness
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llm-audit-markers", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End within ``timeout`` seconds."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                database = self._open_database()
                try:
                    following = _Following(
                        database, self._codec, self._question, self._metrics, self._completeness
                    )
                    following.follow(self._open_source(), self._stopping)
                finally:
                    database.close()
                failures = 0
            except AuditConsumerError as error:
                wait = _AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)]
                failures += 1
                self._metrics.errors.labels("markers").inc()
                logger.warning(
                    "producers' markers are not followed, so completeness is not known; tried again",
                    error=str(error),
                    hint=error.hint,
                    retry_in_seconds=wait,
                )
                self._stopping.wait(wait)


class _Following:
    """One stretch of following, from joining the group to leaving it."""

    def __init__(
        self,
        database: Database,
        codec: MarkerCodec,
        question: Question,
        metrics: Metrics,
        completeness: CompletenessMetrics,
    ) -> None:
        self._database = database
        self._codec = codec
        self._question = question
        self._group = question.group
        self._metrics = metrics
        self._completeness = completeness
        self._next_offsets: dict[Partition, int | None] = {}
        self._progress = ProgressKeeper(self, question.group)
        self._examine_at = 0.0

    def follow(self, source: KafkaSource, stopping: threading.Event) -> None:
        """Follow until asked to stop.

        Raises:
            AuditConsumerError: whatever went wrong; nothing is lost by beginning again.
        """
        try:
            source.check(_CHECK_SECONDS)
            source.subscribe(self._assigned, self._revoked, self._lost_range)
            while not stopping.is_set():
                messages = source.poll(_MOST, _POLL_SECONDS)
                if messages:
                    self._write(messages)
                self._progress.note_if_due(self._next_offsets, {}, source)
                self._examine_if_due()
        finally:
            source.close()

    def note_progress(self, group: str, read_through: Mapping[Partition, datetime]) -> None:
        """See :meth:`AuditStore.note_progress`."""
        with self._transaction():
            note_progress(self._database, group, read_through)

    def _examine_if_due(self) -> None:
        if time.monotonic() < self._examine_at:
            return
        self._examine_at = time.monotonic() + _EXAMINE_SECONDS
        since = datetime.now(UTC) - _EXAMINED
        summary, judged = examine(self._database, replace(self._question, since=since))
        deque(judged, maxlen=0)  # the summary fills as they pass
        self._completeness.examined(summary)

    def _write(self, messages: Sequence[Message]) -> None:
        markers, dead_letters = self._decoded(messages)
        last = {message.partition: message.offset for message in messages}
        advances = [
            OffsetAdvance(partition, self._next_offsets.get(partition), offset + 1)
            for partition, offset in sorted(last.items())
        ]
        with self._transaction():
            note_markers(self._database, markers)
            insert_dead_letters(self._database, self._group, dead_letters)
            for advance in advances:
                advance_offset(self._database, self._group, advance)
        for advance in advances:
            self._next_offsets[advance.partition] = advance.next_offset
        for letter in dead_letters:
            self._metrics.dead_letters.labels(letter.reason).inc()

    def _decoded(self, messages: Sequence[Message]) -> tuple[list[MarkedAt], list[DeadLetter]]:
        markers: list[MarkedAt] = []
        dead_letters: list[DeadLetter] = []
        for message in messages:
            try:
                marker = self._codec.decode(message.value)
            except UndecodableMessageError as error:
                dead_letters.append(DeadLetter(message, error.reason, str(error)))
            else:
                markers.append((marker, message.timestamp))
        return markers, dead_letters

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._database.transaction():
            self._database.execute(statement("begin"), {"statement_timeout_ms": _STATEMENT_TIMEOUT_MS})
            yield

    def _assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        starts: dict[Partition, int | None] = {}
        for partition in partitions:
            with self._transaction():
                rows = self._database.rows(
                    statement("next_offsets"),
                    {"consumer_group": self._group, "topic_id": partition.topic_id},
                )
            stored = {row["partition"]: row["next_offset"] for row in rows}
            starts[partition] = stored.get(partition.number)
        self._next_offsets.update(starts)
        return starts

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._next_offsets.pop(partition, None)

    def _lost_range(self, partition: Partition, wanted: int, instead: int) -> None:
        lost = max(0, instead - wanted)
        self._metrics.out_of_range.labels(partition.topic, str(partition.number)).inc(lost)
        logger.error(
            "markers were deleted before they were read", partition=partition.number, lost_offsets=lost
        )
