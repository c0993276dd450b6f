"""The Kafka sink: idempotent, acks=all, compressed, its queue bounded. The only producer file that knows Kafka.

Delivery is librdkafka's: it keeps order within a partition over retries and never gives up on an entry by itself
(``message.timeout.ms=0``), because a queue that is full upstream is counted honestly while a time-out would lose
entries of an outage quietly. What a broker refuses for good comes back in a delivery report and is counted as lost.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.sinks import DeliveryReports
from llm_audit_schemas import AuditEntry, EntryCodec, InvalidEntryError
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.wire import IDENTITY_HEADER

logger = logging.getLogger("llm_audit_producer")

_POLL_SECONDS = 0.5
_REGISTRY_RETRY_SECONDS = 2.0
_ERROR_LOG_INTERVAL_SECONDS = 60.0
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})

_DELIVERY_SETTINGS: Mapping[str, str | int | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "message.timeout.ms": 0,
    "partitioner": "murmur2_random",  # the Java client's choice, so that every producer of a key agrees
    "log_level": 3,
}

CodecFactory = Callable[[], EntryCodec]
"""Makes the codec when the first entry is to be sent, since a schema registry may have to be asked."""


class KafkaSink:
    """Publishes entries to a topic, keyed by producer_id, the request_id also in a header.

    Args:
        connection: How to reach the cluster.
        topic: Topic of the audit entries.
        codec: Makes the codec on first use; the package's fixed schema id when not given.
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
        queue_bytes: int = 64 * 1024 * 1024,
        extra: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._codec_factory = codec
        self._queue_bytes = queue_bytes
        self._extra = dict(extra or {})
        self._codec: EntryCodec | None = None
        self._reports: DeliveryReports | None = None
        self._producer: Producer | None = None
        self._poller: threading.Thread | None = None
        self._stopping = threading.Event()
        self._next_error_log = 0.0

    def open(self, reports: DeliveryReports) -> None:
        """Make the client; it connects in the background."""
        self._reports = reports
        try:
            self._producer = Producer(
                {
                    **_DELIVERY_SETTINGS,
                    "queue.buffering.max.kbytes": max(1, self._queue_bytes // 1024),
                    **self._extra,
                    **self._connection.client_config(),
                    "client.id": "llm-audit-producer",
                    "error_cb": self._log_client_error,
                }
            )
        except KafkaException as error:
            raise AuditSettingsError(f"the Kafka client refuses its configuration: {error}") from error
        self._poller = threading.Thread(target=self._poll, name="llm-audit-kafka-reports", daemon=True)
        self._poller.start()

    def append(self, entry: AuditEntry) -> None:
        """Hand an entry to librdkafka; waits while its queue is full.

        Raises:
            SinkError: the entry does not fit the schema, or is too large even when reduced.
        """
        self._produce(entry, reduced=False)

    def flush(self, timeout: float) -> int:
        """Wait for every delivery report."""
        if self._producer is None:
            return 0
        remaining: int = self._producer.flush(timeout)
        return remaining

    def close(self, timeout: float) -> int:
        """Wait for every delivery report, then drop what is left."""
        if self._producer is None:
            return 0
        remaining = self.flush(timeout)
        self._stopping.set()
        if self._poller is not None:
            self._poller.join(_POLL_SECONDS * 2)
        if remaining:
            self._reports = None  # what is purged below is counted once, by whoever asked us to close
            self._producer.purge()
            self._producer.flush(0)
        return remaining

    def after_fork(self) -> KafkaSink:
        """A sink with its own client; librdkafka's threads do not live in a forked child."""
        _abandoned.append(self._producer)  # its destructor would wait for threads that are not there
        return KafkaSink(
            self._connection,
            self._topic,
            codec=self._codec_factory,
            queue_bytes=self._queue_bytes,
            extra=self._extra,
        )

    def _produce(self, entry: AuditEntry, *, reduced: bool) -> None:
        assert self._producer is not None  # noqa: S101 - the recorder opens a sink before it appends
        value = self._encoded(entry)
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=value,
                    key=entry.producer_id.encode(),
                    headers=[(IDENTITY_HEADER, uuid.UUID(entry.request_id).bytes)],
                    on_delivery=partial(self._reported, entry, reduced=reduced),
                )
                return
            except BufferError:
                self._producer.poll(_POLL_SECONDS)
            except KafkaException as error:
                if error.args[0].code() not in _TOO_LARGE:
                    raise SinkError("refused", f"the Kafka client refuses the entry: {error}") from error
                if reduced:
                    raise SinkError(
                        "too_large", "the entry is too large even without metadata and details"
                    ) from error
                entry, reduced = _reduced(entry), True
                value = self._encoded(entry)

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
        self, entry: AuditEntry, error: KafkaError | None, _message: Message, *, reduced: bool
    ) -> None:
        if self._reports is None:
            return
        if error is None:
            self._reports.delivered(1)
        elif error.code() in _TOO_LARGE and not reduced:
            logger.warning(
                "llm-audit: audit entry %s is larger than the topic takes; sending it again without metadata "
                "and details (raise the topic's max.message.bytes to keep them)",
                entry.request_id,
            )
            try:
                self._produce(_reduced(entry), reduced=True)
            except SinkError as failure:
                self._reports.lost(entry.request_id, failure.reason, str(failure))
        else:
            reason = "too_large" if error.code() in _TOO_LARGE else "refused"
            self._reports.lost(entry.request_id, reason, f"the broker refused it: {error.name()}")

    def _poll(self) -> None:
        assert self._producer is not None  # noqa: S101 - started by open, after the client was made
        while not self._stopping.is_set():
            self._producer.poll(_POLL_SECONDS)

    def _log_client_error(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now >= self._next_error_log:
            self._next_error_log = now + _ERROR_LOG_INTERVAL_SECONDS
            logger.warning(
                "llm-audit: Kafka at %s: %s (entries wait in memory; next such line in a minute at the earliest)",
                self._connection.bootstrap_servers,
                error.str(),
            )


_abandoned: list[Producer | None] = []


def _reduced(entry: AuditEntry) -> AuditEntry:
    """The entry without what a service or a provider could make large, saying so."""
    return replace(entry, metadata=None, details={"truncated": ["metadata", "details"]}, truncated=True)
