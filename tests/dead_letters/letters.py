"""Puts dead letters into the table, in the way in which the consumer does."""

from __future__ import annotations

from llm_audit_consumer.batch import DeadLetter, DecodedBatch, Partition
from llm_audit_consumer.store import AuditStore
from llm_audit_schemas.codec import Record
from tests.consumer.entries import CODEC, identity_of, message_of, new_record

PARTITION = Partition("topic-id", "entries", 2)
SECRET = "the-users-own-words"


def readable(record: Record, reason: str = "unknown_schema_id", *, offset: int = 0) -> DeadLetter:
    """A dead letter that the decoder of today can read."""
    return of_value(CODEC.encode_record(record), reason, offset=offset, identity=identity_of(record))


def of_value(
    value: bytes | None, reason: str = "not_framed", *, offset: int = 0, identity: bytes | None = None
) -> DeadLetter:
    message = message_of(value, offset=offset, identity=identity, partition=PARTITION)
    return DeadLetter(message, reason, "of old")


def put(store: AuditStore, *letters: DeadLetter) -> None:
    store.write("group", DecodedBatch(rows=(), dead_letters=letters, advances=()))


def unstorable() -> Record:
    """Decodes well, and PostgreSQL refuses it."""
    return new_record(metadata='{"a": 1e999999}')
