"""``KafkaSource``: messages of a consumer group, from positions that PostgreSQL keeps.

Kafka's own committed offsets are written too, after PostgreSQL's and only as advice, because lag tools and autoscalers
read them there. They are never read back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage

from llm_audit_consumer.batch import Message, Partition
from llm_audit_consumer.errors import BrokerUnavailableError, ConfigurationError
from llm_audit_consumer.kafka.causes import Causes
from llm_audit_consumer.kafka.topic_ids import topic_id_of
from llm_audit_consumer.kafka.topic_watch import TopicWatch
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.wire import IDENTITY_HEADER

logger = logging.getLogger(__name__)

_FROM_THE_START = -2  # librdkafka's OFFSET_BEGINNING
_WATERMARK_SECONDS = 5.0
_LOOK_SECONDS = 0.5

Assigned = Callable[[Sequence[Partition]], Mapping[Partition, int | None]]
"""Told of partitions that became ours; answers with the offset to start each from, ``None`` for its beginning."""

Revoked = Callable[[Sequence[Partition]], None]
"""Told of partitions that are no longer ours."""

OutOfRange = Callable[[Partition, int, int], None]
"""Told that the broker no longer has an offset: the partition, that offset, and the one it is read from instead."""


class KafkaSource:
    """A member of a consumer group.

    Args:
        connection: How to reach the cluster.
        topic: Topic to read.
        group: Consumer group.
        instance_id: Stable identity of this member, for static membership.
        extra: librdkafka properties laid over ours.

    Raises:
        ConfigurationError: librdkafka refuses the configuration.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        group: str,
        *,
        instance_id: str | None = None,
        extra: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._partitions: dict[int, Partition] = {}
        self._on_out_of_range: OutOfRange = lambda _partition, _wanted, _instead: None
        self._broker_error: str | None = None
        self._causes = Causes()
        self._paused = False
        self._watch = TopicWatch(lambda: topic_id_of(connection, topic))
        self._on_assigned: Assigned = lambda _partitions: {}
        self._on_revoked: Revoked = lambda _partitions: None
        properties: dict[str, str | int | bool | Callable[[KafkaError], None]] = {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # never skip quietly; see _resume_in_range
            "partition.assignment.strategy": "cooperative-sticky",
            "isolation.level": "read_committed",
            "session.timeout.ms": 30_000,
            "topic.metadata.refresh.interval.ms": 10_000,  # how soon added partitions are seen; by default 5 minutes
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16 * 1024,
            "fetch.queue.backoff.ms": 10,  # by default a full queue is looked at again only after a second
            "client.id": "llm-audit-consumer",
            "log_level": 3,
            **(extra or {}),
            **connection.client_config(),
            "error_cb": self._note_broker_error,
        }
        if instance_id:
            properties["group.instance.id"] = instance_id
        try:
            self._consumer = Consumer(properties, logger=logger)
        except KafkaException as error:
            raise ConfigurationError(
                f"the Kafka client refuses its configuration: {error.args[0].str()}"
            ) from error

    @property
    def broker_error(self) -> str | None:
        """What is wrong with the broker now, in words; ``None`` while messages or metadata arrive."""
        return self._broker_error

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """The partitions that are ours now."""
        return tuple(self._partitions.values())

    def check(self, timeout: float) -> None:
        """Make sure that the broker answers and has the topic.

        Raises:
            BrokerUnavailableError: it does not answer within ``timeout`` seconds, or has no such topic.
        """
        try:
            found = self._consumer.list_topics(self._topic, timeout=timeout).topics.get(self._topic)
        except KafkaException as error:
            self._consumer.poll(0)  # brings the causes, which wait as events
            raise self._causes.unavailable(self._connection, error) from error
        if found is None or found.error is not None:
            raise BrokerUnavailableError(
                f"Kafka at {self._connection.bootstrap_servers} has no topic {self._topic!r}",
                "make it with: llm-audit topic create",
            )

    def subscribe(self, assigned: Assigned, revoked: Revoked, out_of_range: OutOfRange) -> None:
        """Join the group. The callbacks run within :meth:`poll` and :meth:`close`."""
        self._on_assigned, self._on_revoked, self._on_out_of_range = assigned, revoked, out_of_range

        def on_assign(_consumer: Consumer, partitions: list[TopicPartition]) -> None:
            topic_id = topic_id_of(self._connection, self._topic)
            self._take(topic_id, [each.partition for each in partitions])

        def on_revoke(_consumer: Consumer, partitions: list[TopicPartition]) -> None:
            gone = [
                self._partitions.pop(each.partition)
                for each in partitions
                if each.partition in self._partitions
            ]
            revoked(gone)
            self._consumer.incremental_unassign(partitions)

        self._consumer.subscribe([self._topic], on_assign=on_assign, on_revoke=on_revoke, on_lost=on_revoke)
        self._watch.start()

    def poll(self, most: int, timeout: float) -> list[Message]:
        """Up to ``most`` messages, waiting up to ``timeout`` seconds for the first; serves the group meanwhile.

        Raises:
            BrokerUnavailableError: the client has given up for good, such as after another member took its identity.
        """
        self._start_over_with_another_topic()
        taken = self._consumer.consume(num_messages=max(1, most), timeout=timeout)
        messages: list[Message] = []
        ours = self._partitions
        for each in taken:
            error = each.error()
            if error is not None:
                self._handle(error, each)
                continue
            partition = ours.get(each.partition())  # type: ignore[arg-type]  # a consumed message has one
            if partition is not None:
                messages.append(_message(partition, each))
        if messages:
            self._broker_error = None
        elif self._broker_error is not None:
            self._look_for_broker()
        return messages

    def pause(self) -> None:
        """Take no more messages, and stay in the group."""
        self._paused = True
        self._consumer.pause(self._assignment())

    def resume(self) -> None:
        """Take messages again."""
        self._paused = False
        self._consumer.resume(self._assignment())

    def seek(self, partition: Partition, offset: int | None) -> None:
        """Read a partition on from another offset, ``None`` for its beginning."""
        # Not librdkafka's own seek: it refuses one where fetching has only just begun, or has stopped.
        self._consumer.incremental_unassign([TopicPartition(partition.topic, partition.number)])
        self._read_from([_start_of(partition, offset)])

    def advise(self, next_offsets: Mapping[Partition, int]) -> None:
        """Tell Kafka how far we are, for tools that look there; a failure costs nothing."""
        offsets = [TopicPartition(each.topic, each.number, offset) for each, offset in next_offsets.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            logger.debug("offsets were not advised to Kafka: %s", error)

    def high_watermark(self, partition: Partition) -> int | None:
        """The offset that the next message of a partition will get, as last heard; ``None`` while not known."""
        if self._broker_error is not None:
            return None  # what was heard before may have grown since
        where = TopicPartition(partition.topic, partition.number)
        try:
            # Fetching brings the news along; while paused nothing is fetched, so it is asked for.
            answer = self._consumer.get_watermark_offsets(
                where, timeout=_LOOK_SECONDS, cached=not self._paused
            )
            # The client's type hints leave out the None that it gives while it has heard nothing.
            low_high = cast("tuple[int, int] | None", answer)
        except KafkaException:
            return None
        return low_high[1] if low_high is not None and low_high[1] >= 0 else None

    def close(self) -> None:
        """Leave the group."""
        self._watch.stop()
        self._consumer.close()

    def _handle(self, error: KafkaError, message: KafkaMessage) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._resume_in_range(message)
        elif error.fatal() or error.code() == KafkaError._FATAL:
            raise BrokerUnavailableError(
                f"the Kafka client has given up: {error.str()}",
                "start the consumer again; each one needs an --instance-id of its own, or none",
            )
        else:
            self._note_broker_error(error)

    def _take(self, topic_id: str, numbers: Sequence[int]) -> None:
        """Partitions became ours: read each from where its owner says."""
        ours = [Partition(topic_id, self._topic, number) for number in numbers]
        starts = self._on_assigned(ours)
        self._partitions.update({partition.number: partition for partition in ours})
        self._read_from([_start_of(partition, starts[partition]) for partition in ours])

    def _start_over_with_another_topic(self) -> None:
        """Where the topic was deleted and made again, its offsets so far mean nothing."""
        topic_id = self._watch.other_than({each.topic_id for each in self._partitions.values()})
        if topic_id is None:
            return
        logger.error("topic %s was deleted and made again: the new one is read from its start", self._topic)
        old = list(self._partitions.values())
        self._on_revoked(old)
        self._consumer.incremental_unassign(self._assignment())
        self._take(topic_id, [each.number for each in old])

    def _read_from(self, starts: list[TopicPartition]) -> None:
        """Assign partitions, paused if we are: a partition that comes back would keep the pause it was taken with."""
        self._consumer.incremental_assign(starts)
        if self._paused:
            self._consumer.pause(starts)
        else:
            self._consumer.resume(starts)

    def _assignment(self) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number) for number in self._partitions]

    def _resume_in_range(self, message: KafkaMessage) -> None:
        """Go on at the oldest message the broker still has, and say what was lost in between."""
        partition, wanted = self._partition_of(message), message.offset()
        if partition is None or wanted is None:
            return
        try:
            low, _high = self._consumer.get_watermark_offsets(
                TopicPartition(self._topic, partition.number), timeout=_WATERMARK_SECONDS
            )
        except KafkaException as error:
            logger.warning("Kafka: %s", error.args[0].str())
            low = wanted  # out of range again, and so asked again
        else:
            self._on_out_of_range(partition, wanted, low)
        self.seek(partition, low)

    def _partition_of(self, message: KafkaMessage) -> Partition | None:
        number = message.partition()
        return None if number is None else self._partitions.get(number)

    def _look_for_broker(self) -> None:
        """On a quiet topic no message will tell that the broker is back: ask for metadata."""
        try:
            self._consumer.list_topics(self._topic, timeout=_LOOK_SECONDS)
        except KafkaException:
            return
        self._broker_error = None

    def _note_broker_error(self, error: KafkaError) -> None:
        self._causes.note(error)
        if error.code() in (
            KafkaError._ALL_BROKERS_DOWN,
            KafkaError._TRANSPORT,
            KafkaError._AUTHENTICATION,
            KafkaError._SSL,
        ):
            self._broker_error = error.str()
        logger.warning("Kafka: %s", error.str())


def _start_of(partition: Partition, offset: int | None) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number, _FROM_THE_START if offset is None else offset)


def _message(partition: Partition, message: KafkaMessage) -> Message:
    kind, milliseconds = message.timestamp()
    moment = None if kind == TIMESTAMP_NOT_AVAILABLE else _moment(milliseconds)
    return Message(
        partition,
        message.offset(),  # type: ignore[arg-type]  # a consumed message has one
        datetime.now(UTC) if moment is None else moment,
        message.key(),
        message.value(),
        _identity(message),
    )


@lru_cache(maxsize=1024)
def _moment(milliseconds: int) -> datetime | None:
    """When the broker got a message; ``None`` where it says what no calendar holds. Many have the same millisecond."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        logger.debug("a message's timestamp is no date: %d ms", milliseconds)
        return None


def _identity(message: KafkaMessage) -> bytes | None:
    # The client gives a list of pairs; its type hints allow a dict and text too.
    for name, value in message.headers() or ():  # type: ignore[str-unpack]
        if name == IDENTITY_HEADER:
            return value  # type: ignore[return-value]
    return None
