"""The content sink: seals what it is handed on a thread of its own, and publishes it on the content topic.

Invariants:

- ``seal_and_publish`` never waits, never raises, and holds on to no more than ``queue_bytes`` of content.
- Plain content lives in memory only. It is not spooled: what waits here when the process is killed is lost, while its
  entry, with its hashes, may be safe. The entry says ``encrypted`` all the same; the missing content shows in
  ``llm-audit show``.
- Every part ends as delivered or as lost by reason. Losing some is said, without a word of it.
- After fork the child starts with an empty queue and a client of its own.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from llm_audit_producer import lifetime
from llm_audit_producer.content.sealing import ContentForms, Sealer
from llm_audit_producer.faults import say
from llm_audit_producer.sinks.kafka_clients import KafkaClients
from llm_audit_schemas import AuditEntry, InvalidEntryError
from llm_audit_schemas.content_codec import ContentCodec
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.wire import IDENTITY_HEADER

logger = logging.getLogger("llm_audit_producer")

_POLL_SECONDS = 0.1
_LIBRDKAFKA_LARGEST = 1_000_000  # its default for message.max.bytes
_SAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ContentStatistics:
    """What became of content so far, in parts (an input or an output).

    Attributes:
        taken: Parts handed over.
        delivered: Parts that the broker has acknowledged.
        lost: Parts that will never arrive, by reason.
    """

    taken: int
    delivered: int
    lost: Mapping[str, int]

    @property
    def waiting(self) -> int:
        """Parts that are neither delivered nor lost yet."""
        return self.taken - self.delivered - sum(self.lost.values())


class ContentSink:
    """Publishes sealed content, keyed by producer_id, the request_id also in a header.

    Args:
        connection: How to reach the cluster.
        topic: The content topic.
        sealer: Seals it.
        queue_bytes: Most bytes of content that may wait to be sealed, and again of sealed content to be delivered.
        drain_seconds: How long the process's end may wait for delivery.
        codec: Makes the codec when the first content is sent; the package's fixed schema id when not given.
        extra: librdkafka properties laid over ours.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        sealer: Sealer,
        *,
        queue_bytes: int = 64 * 1024 * 1024,
        drain_seconds: float = 5.0,
        codec: Callable[[], ContentCodec] = ContentCodec,
        extra: Mapping[str, str | int | bool] | None = None,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._sealer = sealer
        self._queue_bytes = queue_bytes
        self._drain_seconds = drain_seconds
        self._codec_factory = codec
        # Without idempotence a client never gives up for good, and a part that arrives twice is stored once anyway.
        self._extra: dict[str, str | int | bool] = {
            "enable.idempotence": False,
            "message.max.bytes": max(_LIBRDKAFKA_LARGEST, sealer.largest_bytes),
            **(extra or {}),
        }
        self._start_anew()
        lifetime.follow(self)

    def _start_anew(self, *, closed: bool = False) -> None:
        # Reentrant, because a garbage-collected stream may hand content over while this very thread does.
        self._lock = threading.RLock()
        self._waiting: queue.SimpleQueue[tuple[AuditEntry, ContentForms] | None] = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._counts: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._said_at: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._clients: KafkaClients | None = None
        self._codec: ContentCodec | None = None
        self._closed = closed
        self._given_up = threading.Event()

    def seal_and_publish(self, entry: AuditEntry, forms: ContentForms) -> None:
        """Take one call's content. It is sealed later, so ``forms`` must not change, which bytes do not."""
        parts = sum(1 for _ in forms.parts())
        with self._lock:
            self._counts["taken"] += parts
            if self._closed:
                self._lose("closed", parts)
            elif self._waiting_bytes + forms.size > self._queue_bytes:
                self._lose("queue_full", parts)
            else:
                self._waiting_bytes += forms.size
                self._waiting.put((entry, forms))
                self._ensure_thread()

    def statistics(self) -> ContentStatistics:
        """The counters now."""
        with self._lock:
            return ContentStatistics(self._counts["taken"], self._counts["delivered"], dict(self._lost))

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds until every part is delivered or lost; returns how many are not."""
        deadline = time.monotonic() + timeout
        while self.statistics().waiting and self._thread is not None and time.monotonic() < deadline:
            if self._clients is not None:
                self._clients.batching.flush(_POLL_SECONDS)
            self._thread.join(0.005)
        return self.statistics().waiting

    def close(self, timeout: float | None = None) -> int:
        """Drain within ``timeout`` seconds, then stop; returns how many parts were lost at the end, counted."""
        seconds = self._drain_seconds if timeout is None else timeout
        with self._lock:
            if self._closed:
                return 0
            self._closed = True
        self.flush(seconds)
        self._given_up.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(_POLL_SECONDS * 5)
        left = self.statistics().waiting
        if left:
            with self._lock:
                self._lose("not_drained", left)
        if self._clients is not None:
            self._clients.batching.purge()
            self._clients.batching.flush(0)
        return left

    def after_fork(self) -> None:
        """Begin anew in a forked child: what the parent has in its queue stays the parent's."""
        if self._clients is not None:
            self._clients.abandon()
        self._start_anew(closed=self._closed)

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="llm-audit-content", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is ending, or the machine has no thread left
            return
        self._thread = thread
        lifetime.follow_worker_process(self)

    # The thread of its own

    def _run(self) -> None:
        while not self._given_up.is_set():
            try:
                item = self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                self._poll()
                continue
            if item is None:
                return
            entry, forms = item
            for part, form in forms.parts():
                self._publish(entry, part, form)
            with self._lock:
                self._waiting_bytes -= forms.size
            self._poll()

    def _poll(self) -> None:
        if self._clients is not None:
            self._clients.batching.poll(0)

    def _publish(self, entry: AuditEntry, part: str, form: bytes) -> None:
        try:
            value = self._ready_codec().encode(self._sealer.seal(entry, part, form))
            self._produce(entry, value)
        except InvalidEntryError:
            self._lose_one("invalid_entry")
        except KafkaException as error:
            self._lose_one(
                "too_large" if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE else "refused"
            )
        except Exception as error:  # noqa: BLE001 - counted and said; the content after this goes on
            say("content could not be sealed; please report this", error)
            self._lose_one("sealing_failed")

    def _ready_codec(self) -> ContentCodec:
        if self._codec is None:
            self._codec = self._codec_factory()
        return self._codec

    def _client(self) -> Producer:
        if self._clients is None:
            self._clients = KafkaClients(self._connection, self._queue_bytes, self._extra)
        return self._clients.batching

    def _produce(self, entry: AuditEntry, value: bytes) -> None:
        while not self._given_up.is_set():
            try:
                self._client().produce(
                    self._topic,
                    value=value,
                    key=entry.producer_id.encode(),
                    headers=[(IDENTITY_HEADER, uuid.UUID(entry.request_id).bytes)],
                    on_delivery=self._reported,
                )
                return
            except BufferError:  # librdkafka's queue is full: what waits behind this is bounded by our own
                self._client().poll(_POLL_SECONDS)

    def _reported(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            with self._lock:
                self._counts["delivered"] += 1
        elif not self._given_up.is_set():  # what is purged at the end was counted there
            self._lose_one("too_large" if error.code() == KafkaError.MSG_SIZE_TOO_LARGE else "refused")

    def _lose_one(self, reason: str) -> None:
        with self._lock:
            self._lose(reason, 1)

    def _lose(self, reason: str, parts: int) -> None:
        """Count a loss, and say it once a minute for each reason. The lock is held."""
        self._lost[reason] += parts
        now = time.monotonic()
        if now - self._said_at.get(reason, -_SAY_SECONDS) >= _SAY_SECONDS:
            self._said_at[reason] = now
            logger.error(
                "llm-audit: content was lost (%s, %d parts so far); the audit entries themselves are not affected",
                reason,
                self._lost[reason],
            )
