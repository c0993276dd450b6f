"""The Kafka sink: idempotent, acks=all, compressed, its queue bounded. The only producer file that knows Kafka.

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
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import partial
from queue import Empty, SimpleQueue

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.faults import say
from llm_audit_producer.sinks import DeliveryReports
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
_ERROR_LOG_INTERVAL_SECONDS = 60.0
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})

_DELIVERY_SETTINGS: Mapping[str, str | int | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.timeout.ms": 0,
    "partitioner": "murmur2_random",  # the Java client's choice, so that every producer of a key agrees
    "log_level": 2,  # what it would write to standard error comes to us as an error event too
}

_ALONE_SETTINGS: Mapping[str, str | int | bool] = {"batch.num.messages": 1, "linger.ms": 0}

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
        self._producer: Producer | None = None
        self._alone: Producer | None = None
        self._again: SimpleQueue[tuple[AuditEntry, _Way]] = SimpleQueue()
        self._count = threading.Lock()
        self._unreported = 0
        self._poller: threading.Thread | None = None
        self._stopping = threading.Event()
        self._next_error_log = 0.0

    def open(self, reports: DeliveryReports) -> None:
        """Make the client; it connects in the background."""
        self._reports = reports
        self._producer = self._client({})
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
        if self._producer is None:
            return
        try:
            self._producer.produce(
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
            for client in self._clients():
                client.flush(min(_POLL_SECONDS, remaining))
            self._send_again()
        return self._unreported

    def close(self, timeout: float) -> int:
        """Wait for every delivery report, then drop what is left."""
        if self._producer is None:
            return 0
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        # What is still in the queue now is a marker, which is not worth the whole time: its topic may be missing.
        self._producer.flush(max(0.0, min(_MARKER_SECONDS, deadline - time.monotonic())))
        self._stopping.set()
        if self._poller is not None:
            self._poller.join(_POLL_SECONDS * 3)
        self._reports = None  # what is purged below is counted once, by whoever asked us to close
        remaining = self._unreported
        if remaining:
            for client in self._clients():
                client.purge()
                client.flush(0)
        return remaining

    def after_fork(self) -> KafkaSink:
        """A sink with its own client; librdkafka's threads do not live in a forked child."""
        _abandoned.extend(self._clients())  # their destructors would wait for threads that are not there
        return KafkaSink(
            self._connection,
            self._topic,
            codec=self._codec_factory,
            markers_topic=self._markers_topic,
            marker_codec=self._marker_codec_factory,
            queue_bytes=self._queue_bytes,
            extra=self._extra,
        )

    def _client(self, laid_over: Mapping[str, str | int | bool]) -> Producer:
        try:
            return Producer(
                {
                    **_DELIVERY_SETTINGS,
                    "queue.buffering.max.kbytes": max(1, self._queue_bytes // 1024),
                    **self._extra,
                    **self._connection.client_config(),
                    "client.id": "llm-audit-producer",
                    "error_cb": self._log_client_error,
                    **laid_over,
                }
            )
        except KafkaException as error:
            raise AuditSettingsError(f"the Kafka client refuses its configuration: {error}") from error

    def _clients(self) -> list[Producer]:
        return [client for client in (self._producer, self._alone) if client is not None]

    def _client_for(self, way: _Way) -> Producer:
        assert self._producer is not None  # noqa: S101 - the recorder opens a sink before it appends
        if way is _Way.BATCHED:
            return self._producer
        if self._alone is None:
            self._alone = self._client(_ALONE_SETTINGS)
        return self._alone

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
                    on_delivery=partial(self._reported, entry, way),
                )
                return
            except BufferError as error:
                if self._stopping.is_set():
                    raise SinkError(
                        "not_drained", "the Kafka client's queue stayed full to the end"
                    ) from error
                client.poll(_POLL_SECONDS)
            except KafkaException as error:
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

    def _reported(self, entry: AuditEntry, way: _Way, error: KafkaError | None, _message: Message) -> None:
        """Take a delivery report. Runs inside a poll, so nothing is sent from here."""
        if error is None:
            self._one_reported()
            if self._reports is not None:
                self._reports.delivered(entry)
        elif error.code() in _TOO_LARGE and way is not _Way.REDUCED and not self._stopping.is_set():
            self._again.put((entry, _Way.ALONE if way is _Way.BATCHED else _Way.REDUCED))
        elif self._reports is not None:
            if error.code() in _TOO_LARGE:
                self._lose(entry, "too_large", TOO_LARGE_REDUCED)
            else:
                hint = _HINTS.get(error.code())
                self._lose(
                    entry, "refused", f"Kafka refuses it: {error.name()}" + (f"; {hint}" if hint else "")
                )

    def _send_again(self) -> None:
        """Send what came back as too large by the next way; from any thread that polls."""
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
                for client in self._clients():
                    client.poll(_POLL_SECONDS if client is self._producer else 0)
                self._send_again()
            except Exception as error:  # noqa: BLE001 - without this thread no report would ever come again
                say("a Kafka delivery report could not be taken; please report this", error)

    def _log_client_error(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now >= self._next_error_log:
            self._next_error_log = now + _ERROR_LOG_INTERVAL_SECONDS
            logger.warning(
                "llm-audit: Kafka at %s: %s (entries wait in memory; next such line in a minute at the earliest)",
                self._connection.bootstrap_servers,
                error.str(),
            )


_abandoned: list[Producer] = []
