"""Follows the content topic, beside the daemon's loop and apart from it.

A thread with a Kafka client, a connection and the key store of its own: content is large, and neither it nor an absent
key store may hold up the entries. Content and offsets commit in one transaction, as entries do. Whatever fails, the
follower lets go of everything and begins again from where the database says it stands; until then content waits on its
topic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from llm_audit_consumer.batch import Message, OffsetAdvance, Partition
from llm_audit_consumer.content.decoding import decode
from llm_audit_consumer.content.keys import KeyStore, Subject, latest_of
from llm_audit_consumer.content.metrics import ContentMetrics
from llm_audit_consumer.content.wrapping import StoredContent, wrap
from llm_audit_consumer.errors import AuditConsumerError, DatabaseUnavailableError
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.store.content_store import create_content_partitions, write_content
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement
from llm_audit_schemas.content import AuditContent
from llm_audit_schemas.content_codec import ContentCodec

logger = structlog.get_logger(__name__)

_MOST = 40  # each may be as large as a topic takes, some 1 MB, and is held twice while it is written
_POLL_SECONDS = 0.5
_CHECK_SECONDS = 10.0
_AGAIN_SECONDS = (1.0, 5.0, 30.0)
_MONTHS_AHEAD = timedelta(days=62)

OpenSource = Callable[[], KafkaSource]
"""Joins the content's consumer group; raises an ``AuditConsumerError`` where the client cannot be made."""

OpenDatabase = Callable[[], Database]
"""Connects; raises ``DatabaseUnavailableError`` where that fails."""

OpenKeyStore = Callable[[], KeyStore]
"""Opens the key store; raises an ``AuditConsumerError`` where it cannot be used."""


class ContentFollower:
    """Moves content from its topic into ``llm_audit_content`` until it is stopped.

    Args:
        open_source: Makes the Kafka client.
        open_database: Makes the connection.
        open_key_store: Opens the users' keys.
        codec: Reads content.
        group: The consumer group, which keeps the offsets.
        metrics: Counts failures and dead letters.
        content_metrics: Counts content.
    """

    def __init__(
        self,
        open_source: OpenSource,
        open_database: OpenDatabase,
        open_key_store: OpenKeyStore,
        codec: ContentCodec,
        group: str,
        metrics: Metrics,
        content_metrics: ContentMetrics,
    ) -> None:
        self._open_source = open_source
        self._open_database = open_database
        self._open_key_store = open_key_store
        self._codec = codec
        self._group = group
        self._metrics = metrics
        self._content_metrics = content_metrics
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llm-audit-content", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End within ``timeout`` seconds."""
        self._stopping.set()
        if self._thread.ident is not None:  # it may never have been started
            self._thread.join(timeout)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                self._follow()
                failures = 0
            except AuditConsumerError as error:
                wait = _AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS) - 1)]
                failures += 1
                self._metrics.errors.labels("content").inc()
                logger.warning(
                    "content is not stored, and waits on its topic; tried again",
                    error=str(error),
                    hint=error.hint,
                    retry_in_seconds=wait,
                )
                self._stopping.wait(wait)

    def _follow(self) -> None:
        database = self._open_database()
        try:
            keys = self._open_key_store()
            try:
                _make_months(database)
                following = _Following(
                    database, keys, self._codec, self._group, self._metrics, self._content_metrics
                )
                following.follow(self._open_source(), self._stopping)
            finally:
                keys.close()
        finally:
            database.close()


def _make_months(database: Database) -> None:
    try:
        create_content_partitions(database, (datetime.now(UTC) + _MONTHS_AHEAD).date())
    except DatabaseUnavailableError as error:
        logger.warning(
            "content's months ahead were not made; rows wait in llm_audit_content_after", error=str(error)
        )


class _Following:
    """One stretch of following, from joining the group to leaving it."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        codec: ContentCodec,
        group: str,
        metrics: Metrics,
        content_metrics: ContentMetrics,
    ) -> None:
        self._database = database
        self._keys = keys
        self._codec = codec
        self._group = group
        self._metrics = metrics
        self._content_metrics = content_metrics
        self._next_offsets: dict[Partition, int | None] = {}

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
                    source.advise({each: at for each, at in self._next_offsets.items() if at is not None})
        finally:
            source.close()

    def _write(self, messages: Sequence[Message]) -> None:
        decoded = decode(messages, self._codec)
        stored, erased = self._under_users_keys(decoded.contents)
        last = {message.partition: message.offset for message in messages}
        advances = [
            OffsetAdvance(partition, self._next_offsets.get(partition), offset + 1)
            for partition, offset in sorted(last.items())
        ]
        write_content(self._database, self._group, stored, decoded.dead_letters, advances)
        for advance in advances:
            self._next_offsets[advance.partition] = advance.next_offset
        self._count(len(stored), erased, decoded.refused)
        for letter in decoded.dead_letters:
            self._metrics.dead_letters.labels(letter.reason).inc()

    def _under_users_keys(self, contents: Sequence[AuditContent]) -> tuple[list[StoredContent], int]:
        """The rows, and how many parts are dropped because their user was erased since."""
        calls = [(Subject(each.user_id, each.tenant), each.timestamp) for each in contents]
        found = self._keys.keys_for(latest_of(calls))
        stored: list[StoredContent] = []
        for content, (subject, called_at) in zip(contents, calls, strict=True):
            key = found[subject].key_for(called_at)
            if key is None:
                continue
            row = StoredContent(
                request_id=content.request_id,
                key_id=key.key_id,
                part=content.part,
                retention_class=content.retention_class,
                sealing=content.sealing,
                compression=content.compression,
                canonical_form=content.canonical_form,
                plain_bytes=content.plain_bytes,
                truncated=content.truncated,
                recipient_key_id=content.recipient_key_id,
                wrapped=content.sealed,
            )
            if content.sealed is not None:
                row = replace(row, wrapped=wrap(content.sealed, key, row.bound))
            stored.append(row)
        return stored, len(contents) - len(stored)

    def _count(self, stored: int, erased: int, refused: int) -> None:
        self._content_metrics.stored.inc(stored)
        self._content_metrics.dropped.labels("erased").inc(erased)
        self._content_metrics.dropped.labels("refused").inc(refused)
        if refused:
            logger.error(
                "content was sent under a retention class that stores none; it was dropped, its entries are kept",
                parts=refused,
                hint="find the producer: it runs a release or a setting that does not refuse content itself",
            )

    def _assigned(self, partitions: Sequence[Partition]) -> dict[Partition, int | None]:
        starts: dict[Partition, int | None] = {}
        for partition in partitions:
            with self._database.transaction():
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
        logger.error("content was deleted before it was read", partition=partition.number, lost_offsets=lost)
