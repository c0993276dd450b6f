"""librdkafka's producers: how they are set up, and what is done when one gives up for good.

An idempotent producer that loses its place in the broker's log (after the broker lost data, or forgot the producer)
declares itself dead: every later message is refused. It is replaced by a new one, and what it still held is sent again
by that; entries that had arrived already are told apart by their request_id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Producer

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_schemas.kafka_connection import KafkaConnection

logger = logging.getLogger("llm_audit_producer")

_ERROR_LOG_INTERVAL_SECONDS = 60.0
_RETIRE_SECONDS = 1.0

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

_GIVEN_UP = frozenset({KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


def was_given_up(error: KafkaError) -> bool:
    """Whether a message came back because its client gave up, and not because a broker refuses it."""
    return error.fatal() or error.code() in _GIVEN_UP


class KafkaClients:
    """Two producers of one cluster: one that batches, and, once it is needed, one that sends each message alone.

    Args:
        connection: How to reach the cluster.
        queue_bytes: Most memory, in bytes, that a queue may hold.
        extra: librdkafka properties laid over ours.

    Raises:
        AuditSettingsError: librdkafka refuses the configuration.
    """

    def __init__(
        self, connection: KafkaConnection, queue_bytes: int, extra: Mapping[str, str | int | bool]
    ) -> None:
        self._connection = connection
        self._queue_bytes = queue_bytes
        self._extra = extra
        self._guard = threading.Lock()
        self._next_error_log = 0.0
        self._batching = self._client({})
        self._alone: Producer | None = None

    @property
    def batching(self) -> Producer:
        """The one that batches."""
        return self._batching

    @property
    def alone(self) -> Producer:
        """The one that sends each message alone."""
        with self._guard:
            if self._alone is None:
                self._alone = self._client(_ALONE_SETTINGS)
            return self._alone

    def every(self) -> list[Producer]:
        """Those that there are."""
        return [client for client in (self._batching, self._alone) if client is not None]

    def replace(self, given_up: Producer) -> None:
        """Take a new client in the place of one that gave up; what that one held is reported back meanwhile."""
        with self._guard:
            if given_up is self._batching:
                self._batching = self._client({})
            elif given_up is self._alone:
                self._alone = None
            else:
                return  # another thread was quicker
        logger.error("llm-audit: the Kafka client gave up and is replaced; what it held is sent again")
        given_up.purge()
        given_up.flush(_RETIRE_SECONDS)

    def abandon(self) -> None:
        """Never touch them again: in a forked child their destructors would wait for threads that are not there."""
        _abandoned.extend(self.every())

    def _client(self, laid_over: Mapping[str, str | int | bool]) -> Producer:
        try:
            return Producer(
                {
                    **_DELIVERY_SETTINGS,
                    "queue.buffering.max.kbytes": max(1, self._queue_bytes // 1024),
                    **self._extra,
                    **self._connection.client_config(),
                    "client.id": "llm-audit-producer",
                    "error_cb": self._log_error,
                    **laid_over,
                }
            )
        except KafkaException as error:
            raise AuditSettingsError(f"the Kafka client refuses its configuration: {error}") from error

    def _log_error(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now >= self._next_error_log:
            self._next_error_log = now + _ERROR_LOG_INTERVAL_SECONDS
            logger.warning(
                "llm-audit: Kafka at %s: %s (entries wait; next such line in a minute at the earliest)",
                self._connection.bootstrap_servers,
                error.str(),
            )


_abandoned: list[Producer] = []
