"""The Kafka sink: idempotent, acks=all, compressed, its queue bounded.

Delivery is librdkafka's: it keeps order within a partition over retries and never gives up on an entry by itself
(``message.timeout.ms=0``), because a queue that is full upstream is counted honestly while a time-out would lose
entries of an outage quietly. What a broker refuses for good comes back in a delivery report and is counted as lost.

The broker's size limit holds for a batch, and librdkafka does not split one that is refused: each entry in it comes
back as too large. So such an entry is sent again by a second client that batches nothing, and only when it is too
large all alone is it sent without what may be large in it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from queue import Empty, SimpleQueue

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_audit_producer.errors import SinkError
from llm_audit_producer.faults import say
from llm_audit_producer.sinks import DeliveryReports
from llm_audit_producer.sinks.kafka_clients import KafkaClients, was_given_up
from llm_audit_producer.sinks.reduction import TOO_LARGE_REDUCED, reduced, warn_reduced
from llm_audit_schemas import (
    AuditEntry,
    EntryCodec,
    InvalidEntryError,
    MarkerCodec,
    ProducerMarker,
    topics,
)
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.wire import IDENTITY_HEADER

logger = logging.getLogger("llm_audit_producer")

_POLL_SECONDS = 0.1
_REGISTRY_RETRY_SECONDS = 2.0
_MARKER_SECONDS = 0.5
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})

_HINTS = {
    KafkaError._UNKNOWN_TOPIC: "make the topic with `llm-audit topic create`",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "make the topic with `llm-audit topic create`",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this producer's principal to write to the topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "allow this producer's principal idempotent writes",
}


class _Way(Enum):
    """How an entry is sent; each next way is tried when the one before was too large."""

    BATCHED = auto()
    ALONE = auto()
    REDUCED = auto()


CodecFactory = Callable[[], EntryCodec]
"""Makes the codec when the first entry is to be sent, since a schema registry may have to be asked."""

MarkerCodecFactory = Callable[[], MarkerCodec]
"""As :data:`CodecFactory`, for the producer's markers."""


class KafkaSink:
    """Publishes entries to a topic, keyed by producer_id, the request_id also in a header.

    Args:
        connection: How to reach the cluster.
        topic: Topic of the audit entries.
        codec: Makes the codec on first use; the package's fixed schema id when not given.
        markers_topic: Topic of the producer's markers.
        marker_codec: As ``codec``, for the markers.
        queue_bytes: Most memory, in bytes, that librdkafka's queue may hold.
        extra: librdkafka properties laid over ours, such as ``linger.ms``.

    Raises:
        AuditSettingsError: librdkafka refuses the configuration.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        *,
        codec: CodecFactory = EntryCodec,
        markers_topic: str = topics.MARKERS,
        marker_codec: MarkerCodecFactory = MarkerCodec,
        queue_bytes: int = 64 * 1024 * 1024,
        extra: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._codec_factory = codec
        self._markers_topic = markers_topic
        self._marker_codec_factory = marker_codec
        self._queue_bytes = queue_bytes
        self._extra = dict(extra or {})
        self._codec: EntryCodec | None = None
        self._reports: DeliveryReports | None = None
        self._clients: KafkaClients | None = None
        self._again: SimpleQueue[tuple[AuditEntry, _Way]] = SimpleQueue()
        self._given_up: deque[Producer] = deque()
        self._count = threading.Lock()
        self._unreported = 0
        self._poller: threading.Thread | None = None
        self._stopping = threading.Event()

    def open(self, reports: DeliveryReports) -> None:
        """Make the client; it connects in the background."""
        self._reports = reports
        self._clients = KafkaClients(self._connection, self._queue_bytes, self._extra)
        self._poller = threading.Thread(target=self._poll, name="llm-audit-kafka-reports", daemon=True)
        self._poller.start()

    def append(self, entry: AuditEntry) -> None:
        """Hand an entry to librdkafka; waits while its queue is full.

        Raises:
            SinkError: the entry does not fit the schema, or is too large even when reduced.
        """
        with self._count:
            self._unreported += 1
        try:
            self._produce(entry, _Way.BATCHED)
        except BaseException:
            self._one_reported()
            raise

    def mark(self, marker: ProducerMarker) -> None:
        """Publish a marker, unless the queue is full: the next one says the same and more."""
        if self._clients is None:
            return
        try:
            self._clients.batching.produce(
                self._markers_topic,
                value=self._marker_codec_factory().encode(marker),
                key=marker.producer_id.encode(),
            )
        except (BufferError, KafkaException, SinkError, InvalidEntryError) as error:
            logger.warning("llm-audit: a %s marker was not sent: %s", marker.kind, error)

    def flush(self, timeout: float) -> int:
        """Wait for every delivery report."""
        deadline = time.monotonic() + timeout
        while self._unreported and (remaining := deadline - time.monotonic()) > 0:
            for client in self._every_client():
                client.flush(min(_POLL_SECONDS, remaining))
            self._send_again()
        return self._unreported

    def close(self, timeout: float) -> int:
        """Wait for every delivery report, then drop what is left."""
        if self._clients is None:
            return 0
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        self._wait_for_markers(self._clients.batching, deadline)
        self._stopping.set()
        if self._poller is not None:
            self._poller.join(_POLL_SECONDS * 3)
        self._reports = None  # what is purged below is counted once, by whoever asked us to close
        remaining = self._unreported
        if remaining:
            for client in self._every_client():
                client.purge()
                client.flush(0)
        return remaining

    def after_fork(self) -> KafkaSink:
        """A sink with its own client; librdkafka's threads do not live in a forked child."""
        if self._clients is not None:
            self._clients.abandon()
        return KafkaSink(
            self._connection,
            self._topic,
            codec=self._codec_factory,
            markers_topic=self._markers_topic,
            marker_codec=self._marker_codec_factory,
            queue_bytes=self._queue_bytes,
            extra=self._extra,
        )

    def _wait_for_markers(self, client: Producer, deadline: float) -> None:
        """What is still in the queue now are markers: worth the whole time, unless their topic is missing."""
        client.flush(max(0.0, min(_MARKER_SECONDS, deadline - time.monotonic())))
        if len(client) == 0:
            return
        try:
            found = client.list_topics(self._markers_topic, timeout=_MARKER_SECONDS)
        except KafkaException:
            return
        if found.topics[self._markers_topic].error is None:
            client.flush(max(0.0, deadline - time.monotonic()))

    def _every_client(self) -> list[Producer]:
        return [] if self._clients is None else self._clients.every()

    def _client_for(self, way: _Way) -> Producer:
        assert self._clients is not None  # noqa: S101 - the recorder opens a sink before it appends
        return self._clients.batching if way is _Way.BATCHED else self._clients.alone

    def _produce(self, entry: AuditEntry, way: _Way) -> None:
        while True:
            client = self._client_for(way)
            sent = reduced(entry) if way is _Way.REDUCED else entry
            try:
                client.produce(
                    self._topic,
                    value=self._encoded(sent),
                    key=entry.producer_id.encode(),
                    headers=[(IDENTITY_HEADER, uuid.UUID(entry.request_id).bytes)],
                    on_delivery=partial(self._reported, entry, way, client),
                )
                return
            except BufferError as error:
                if self._stopping.is_set():
                    raise SinkError(
                        "not_drained", "the Kafka client's queue stayed full to the end"
                    ) from error
                client.poll(_POLL_SECONDS)
            except KafkaException as error:
                if was_given_up(error.args[0]) and not self._stopping.is_set():
                    self._replace(client)
                    continue
                if error.args[0].code() not in _TOO_LARGE:
                    raise SinkError("refused", f"the Kafka client refuses the entry: {error}") from error
                if way is _Way.REDUCED:
                    raise SinkError("too_large", TOO_LARGE_REDUCED) from error
                warn_reduced(entry)
                way = _Way.REDUCED

    def _encoded(self, entry: AuditEntry) -> bytes:
        try:
            return self._ready_codec().encode(entry)
        except InvalidEntryError as error:
            raise SinkError("invalid_entry", str(error)) from error

    def _ready_codec(self) -> EntryCodec:
        """The codec, once the schema registry, if there is one, has answered; until then entries wait."""
        while self._codec is None:
            try:
                self._codec = self._codec_factory()
            except SinkError as error:
                logger.warning("llm-audit: %s; entries wait in memory", error)
                if self._stopping.wait(_REGISTRY_RETRY_SECONDS):
                    raise
        return self._codec

    def _reported(
        self, entry: AuditEntry, way: _Way, client: Producer, error: KafkaError | None, _message: Message
    ) -> None:
        """Take a delivery report. Runs inside a poll, so nothing is sent from here."""
        if error is None:
            self._one_reported()
            if self._reports is not None:
                self._reports.delivered(entry)
        elif error.code() in _TOO_LARGE and way is not _Way.REDUCED and not self._stopping.is_set():
            self._again.put((entry, _Way.ALONE if way is _Way.BATCHED else _Way.REDUCED))
        elif was_given_up(error) and not self._stopping.is_set():
            if client not in self._given_up:
                self._given_up.append(client)
            self._again.put((entry, way))
        elif self._reports is not None:
            if error.code() in _TOO_LARGE:
                self._lose(entry, "too_large", TOO_LARGE_REDUCED)
            else:
                hint = _HINTS.get(error.code())
                self._lose(
                    entry, "refused", f"Kafka refuses it: {error.name()}" + (f"; {hint}" if hint else "")
                )

    def _send_again(self) -> None:
        """Send what came back: too large by the next way, given up by a new client. From any thread that polls."""
        while self._given_up:
            self._replace(self._given_up.pop())
        while True:
            try:
                entry, way = self._again.get_nowait()
            except Empty:
                return
            if way is _Way.REDUCED:
                warn_reduced(entry)
            try:
                self._produce(entry, way)
            except SinkError as failure:
                self._lose(entry, failure.reason, str(failure))

    def _replace(self, client: Producer) -> None:
        if self._clients is not None:
            self._clients.replace(client)

    def _lose(self, entry: AuditEntry, reason: str, message: str) -> None:
        self._one_reported()
        if self._reports is not None:
            self._reports.lost(entry, reason, message)

    def _one_reported(self) -> None:
        with self._count:
            self._unreported -= 1

    def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                for client in self._every_client():
                    client.poll(_POLL_SECONDS if client is self._client_for(_Way.BATCHED) else 0)
                self._send_again()
            except Exception as error:  # noqa: BLE001 - without this thread no report would ever come again
                say("a Kafka delivery report could not be taken; please report this", error)
