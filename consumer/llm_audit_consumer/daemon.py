"""The daemon: messages gather into a batch, the batch becomes rows, the rows and their offsets commit together.

What can go wrong, and what then happens:

- The database is away: the batch is held, the partitions are paused, polling goes on so that the group keeps us, and
  the batch is tried again until it is in. Lag grows; nothing is lost.
- Another consumer has advanced one of our partitions (we were frozen and thought dead): the batch rolls back, and
  every partition is read again from where the database says it stands.
- A partition is taken from us: its messages are dropped unwritten; its next owner reads them from the same offset.
- A message cannot become a row: it becomes a dead letter in the same transaction.

While there is a backlog the next batch is gathered and decoded as one is written, by a thread that has one write at a
time, in order. Without a backlog each batch is seen through before the next. Whatever touches the database from the
loop's thread waits for the write first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from llm_audit_consumer.batch import Partition
from llm_audit_consumer.batch_decoding import BatchDecoder
from llm_audit_consumer.batch_writer import BatchStore, BatchWriter
from llm_audit_consumer.batching import Batcher, BatchLimits
from llm_audit_consumer.completeness.progress import ProgressKeeper, ProgressStore
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import AuditConsumerError, DatabaseUnavailableError, OffsetConflictError
from llm_audit_consumer.health import Health
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.reporting import Reporter
from llm_audit_consumer.retry import RetryPolicy
from llm_audit_consumer.write_queue import WriteQueue

_IDLE_SECONDS = 0.5
_WRITING_SECONDS = 0.02
_REPORT_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class OffsetStore(BatchStore, ProgressStore, Protocol):
    """The database: commits batches, and knows where each partition stands."""

    def next_offsets(self, group: str, topic_id: str) -> dict[int, int]:
        """See :meth:`AuditStore.next_offsets`."""
        ...


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """How the daemon works.

    Attributes:
        group: The consumer group.
        limits: What ends a batch.
        stop_seconds: How long the last batch may take after a stop was asked for.
        assign_seconds: How long to wait for the database when partitions become ours; below Kafka's
            ``max.poll.interval.ms``, after which the group would take them back.
    """

    group: str
    limits: BatchLimits
    stop_seconds: float = 20.0
    assign_seconds: float = 240.0


class Daemon:
    """Moves entries from the topic into the table until it is stopped.

    Args:
        source: Where messages come from.
        store: Where rows go.
        decoder: Makes rows of messages.
        settings: How it works.
        metrics: What it counts.
        health: What it says of itself.
        random: Gives a number from 0 up to 1, for retries.
    """

    def __init__(
        self,
        source: KafkaSource,
        store: OffsetStore,
        decoder: Decoder,
        settings: DaemonSettings,
        metrics: Metrics,
        health: Health,
        random: Callable[[], float],
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen, so one default may be shared
    ) -> None:
        self._source = source
        self._store = store
        self._decoder = BatchDecoder(decoder)
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._random = random
        self._retry = retry
        self._writer = BatchWriter(store, settings.group)
        self._batcher = Batcher(settings.limits, time.monotonic)
        self._reporter = Reporter(metrics)
        self._progress = ProgressKeeper(store, settings.group)
        self._queue = WriteQueue(self._writer, metrics)
        self._behind = False
        self._failures = 0
        self._try_again_at = 0.0
        self._report_at = 0.0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ask the loop to write what it has and end; safe in a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped; returns once the last batch is committed and the group is left.

        Raises:
            AuditConsumerError: something that trying again does not mend, such as altered tables.
        """
        self._source.subscribe(self._assigned, self._revoked, self._lost_range)
        try:
            while not self._stopping.is_set():
                self._gather()
                if self._next_is_due and not self._queue.full and not self._failures:
                    self._decode()
                self._write()
                self._report()
            self._finish()
        except DatabaseUnavailableError:
            # Asked to stop while partitions waited for the database: nothing of theirs was consumed yet.
            if not self._stopping.is_set():
                raise
        finally:
            self._source.close()
            self._queue.close()

    def _gather(self) -> None:
        """Poll; while a batch is held, only to stay in the group."""
        self._health.turned()
        if self._failures and not self._queue:
            self._take_again()  # nothing is left of what it was paused for
        idle = _WRITING_SECONDS if self._queue.writing else _IDLE_SECONDS
        if self._failures:
            came = self._source.poll(1, min(idle, max(0.0, self._try_again_at - time.monotonic())))
        elif len(self._batcher):
            came = self._source.poll(self._batcher.room, self._batcher.wait_seconds(idle))
        else:
            # One message ends the wait, so that a lone entry is not kept until a poll for many times out.
            came = self._source.poll(1, idle)
        self._batcher.add(came)
        self._behind = self._behind and bool(came)

    @property
    def _next_is_due(self) -> bool:
        """Whether the next batch is to be made ready; one that is not full may grow until the write before it ends."""
        return self._batcher.full if self._queue.writing else self._batcher.due

    def _decode(self) -> None:
        self._behind = self._batcher.large
        with self._metrics.batch_seconds.labels("decode").time():
            self._queue.add(self._decoder.decode(self._batcher.take()))

    def _write(self) -> None:
        """Begin the next write, and finish the one under way unless the next batch can be made ready meanwhile."""
        self._begin_write()
        while self._queue.writing and (self._queue.written or self._queue.full or not self._behind):
            self._finish_write()
            if not self._failures:
                self._begin_write()

    def _begin_write(self) -> None:
        if time.monotonic() >= self._try_again_at:
            self._queue.begin()

    def _finish_write(self) -> None:
        try:
            finished = self._queue.finish()
        except DatabaseUnavailableError as error:
            self._hold_back(error)
        except OffsetConflictError as error:
            self._start_over(error)
        else:
            if finished is not None:
                self._database_is_there()
                self._begin_write()  # at once, so that the database does not wait for what is told here
                self._reporter.batch_written(*finished, datetime.now(UTC))
                self._source.advise(
                    {each: at for each, at in self._writer.next_offsets.items() if at is not None}
                )

    def _hold_back(self, error: DatabaseUnavailableError) -> None:
        """Keep what is not committed, take no more, and try again later."""
        self._queue.keep_ours()
        self._failures += 1
        wait = self._retry.wait_seconds(self._failures, self._random)
        self._try_again_at = time.monotonic() + wait
        self._failed("database", error, retry_in_seconds=round(wait, 2), held_messages=self._queue.messages)
        self._health.not_ready("database", str(error))
        self._source.pause()

    def _database_is_there(self) -> None:
        if self._failures:
            self._take_again()
            logger.info("database is back")
        self._health.ready("database")

    def _take_again(self) -> None:
        self._failures, self._try_again_at = 0, 0.0
        self._source.resume()

    def _start_over(self, error: AuditConsumerError) -> None:
        """Read every partition again from where the database says it stands."""
        self._failed("offset_conflict", error)
        ours = tuple(self._writer.next_offsets)
        self._queue.clear()
        self._batcher.drop(ours)
        for partition, next_offset in self._assigned(ours).items():
            self._source.seek(partition, next_offset)

    def _finish(self) -> None:
        """Write what was gathered, within the bound."""
        deadline = time.monotonic() + self._settings.stop_seconds
        while (self._queue or len(self._batcher)) and time.monotonic() < deadline:
            if not self._queue:
                self._decode()
            self._begin_write()
            self._finish_write()
            if self._failures:
                self._source.poll(1, min(_IDLE_SECONDS, max(0.0, self._try_again_at - time.monotonic())))
        if self._queue:
            logger.warning(
                "stopped before the last batch was in; it is read again", messages=self._queue.messages
            )

    def _report(self) -> None:
        if time.monotonic() < self._report_at:
            return
        self._report_at = time.monotonic() + _REPORT_SECONDS
        oldest = self._batcher.oldest | self._queue.oldest
        self._reporter.lag(self._writer.next_offsets, oldest, self._source)
        if self._progress.due:
            self._queue.wait()
        self._progress.note_if_due(self._writer.next_offsets, oldest, self._source)
        if self._source.broker_error is None:
            self._health.ready("broker")
        else:
            self._health.not_ready("broker", self._source.broker_error)

    # Called within poll

    def _assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        """Partitions became ours: each starts where the database says it stands."""
        self._queue.wait()
        starts = self._stored_offsets_once_there(partitions)
        self._health.ready("database")
        self._health.ready("consumer")
        self._writer.take_over(starts)
        logger.info("partitions assigned", partitions=[each.number for each in partitions])
        return starts

    def _stored_offsets_once_there(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        deadline = time.monotonic() + self._settings.assign_seconds
        failures = 0
        while True:
            try:
                return self._stored_offsets(partitions)
            except DatabaseUnavailableError as error:
                failures += 1
                wait = self._retry.wait_seconds(failures, self._random)
                self._health.not_ready("database", str(error))
                self._failed("database", error, retry_in_seconds=round(wait, 2))
                if time.monotonic() + wait > deadline or self._stopping.wait(wait):
                    raise
                self._health.turned()

    def _stored_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        topic_ids = {partition.topic_id for partition in partitions}
        stored = {
            topic_id: self._store.next_offsets(self._settings.group, topic_id) for topic_id in topic_ids
        }
        return {partition: stored[partition.topic_id].get(partition.number) for partition in partitions}

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._queue.wait()
        self._writer.give_up(partitions)
        self._batcher.drop(partitions)
        self._queue.keep_ours()
        self._reporter.forget(partitions)
        logger.info("partitions revoked", partitions=[each.number for each in partitions])

    def _lost_range(self, partition: Partition, wanted: int, instead: int) -> None:
        lost = max(0, instead - wanted)
        self._metrics.out_of_range.labels(partition.topic, str(partition.number)).inc(lost)
        logger.error(
            "offset out of range: the broker no longer has what was to be read; entries are lost",
            topic=partition.topic,
            partition=partition.number,
            wanted_offset=wanted,
            resumed_at=instead,
            lost_offsets=lost,
        )

    def _failed(self, kind: str, error: AuditConsumerError, **facts: object) -> None:
        self._metrics.errors.labels(kind).inc()
        logger.warning("failed, and is tried again", kind=kind, error=str(error), **facts)
