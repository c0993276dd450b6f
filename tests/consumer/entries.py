"""Entries for the consumer's tests: as records, as messages on a topic, as consumed messages."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as KafkaMessage

from llm_audit_consumer.batch import Message, Partition
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at
from llm_audit_schemas.codec import Record, entry_record
from llm_audit_schemas.wire import IDENTITY_HEADER
from tests.parts.messages import DEADLINE_SECONDS, new_producer

CODEC = EntryCodec()
PARTITION = Partition("topic-id", "entries", 0)
MESSAGE_TIME = datetime(2026, 7, 1, 12, 0, 1, tzinfo=UTC)

_PRODUCER_ID = new_producer_id()
_sequence = itertools.count()


def new_entry(**changes: Any) -> AuditEntry:
    """A successful call that has just been made, with a request id of its own."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "request_id": request_id_at(now),
        "timestamp": now,
        "producer_id": _PRODUCER_ID,
        "sequence": next(_sequence),
        "user_id": "ada",
        "provider": "anthropic",
        "action": "messages.create",
        "model": "claude-opus-4-8",
        "input_tokens": 12,
        "output_tokens": 34,
        "latency_ms": 5,
        "cost_usd": Decimal("0.0125"),
        "status": "success",
        "library_version": "0.0.0",
        "metadata": {"team": "trail"},
    }
    return AuditEntry(**{**values, **changes})


def new_record(**changes: Any) -> Record:
    """The Avro record of a new entry, with values laid over that the producer itself would never write."""
    return {**entry_record(new_entry()), **changes}


def message_of(
    value: bytes | None, *, offset: int = 0, identity: bytes | None = None, partition: Partition = PARTITION
) -> Message:
    """A consumed message."""
    return Message(partition, offset, MESSAGE_TIME, b"key", value, identity)


def messages_of(records: Iterable[Record], partition: Partition = PARTITION) -> list[Message]:
    """Consumed messages of records, at offsets from 0, each with its identity in the header."""
    return [
        message_of(CODEC.encode_record(each), offset=offset, identity=identity_of(each), partition=partition)
        for offset, each in enumerate(records)
    ]


def identity_of(record: Record) -> bytes:
    return UUID(str(record["request_id"])).bytes


def send(
    bootstrap_servers: str,
    topic: str,
    messages: Iterable[tuple[int, bytes | None, bytes | None]],
    **settings: str | int,
) -> list[tuple[int, int]]:
    """Put (partition, value, identity) messages onto a topic; returns each one's (partition, offset), in order."""
    producer = new_producer(bootstrap_servers, **settings)
    places: dict[int, tuple[int, int]] = {}
    failed: list[KafkaError] = []
    for number, (partition, value, identity) in enumerate(messages):
        _produce(producer, topic, partition, value, identity, number, places, failed)
        if number % 1000 == 0:
            producer.poll(0)
    left = producer.flush(DEADLINE_SECONDS)
    assert (left, failed) == (0, [])
    return [places[number] for number in sorted(places)]


def _produce(
    producer: Producer,
    topic: str,
    partition: int,
    value: bytes | None,
    identity: bytes | None,
    number: int,
    places: dict[int, tuple[int, int]],
    failed: list[KafkaError],
) -> None:
    def report(error: KafkaError | None, message: KafkaMessage) -> None:
        if error is not None:
            failed.append(error)
        else:
            at, offset = message.partition(), message.offset()
            assert at is not None
            assert offset is not None
            places[number] = (at, offset)

    headers: list[tuple[str, str | bytes | None]] = [] if identity is None else [(IDENTITY_HEADER, identity)]
    producer.produce(topic, value, key=b"key", partition=partition, headers=headers, on_delivery=report)


def send_entries(
    bootstrap_servers: str, topic: str, count: int, *, partitions: int = 3, **changes: Any
) -> list[str]:
    """Put new entries onto a topic, spread over its partitions; returns their request ids."""
    entries = [new_entry(**changes) for _ in range(count)]
    send(bootstrap_servers, topic, [_sendable(entry, at % partitions) for at, entry in enumerate(entries)])
    return [entry.request_id for entry in entries]


def send_records(bootstrap_servers: str, topic: str, records: Sequence[Record], partition: int = 0) -> None:
    """Put records onto one partition of a topic."""
    send(
        bootstrap_servers,
        topic,
        [(partition, CODEC.encode_record(each), identity_of(each)) for each in records],
    )


def _sendable(entry: AuditEntry, partition: int) -> tuple[int, bytes, bytes]:
    return partition, CODEC.encode(entry), UUID(entry.request_id).bytes
