"""Rows, dead letters and batches for the store's tests, and a look at what is stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psycopg2

from llm_audit_consumer.batch import DeadLetter, DecodedBatch, Message, OffsetAdvance, Partition
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at
from llm_audit_schemas.codec import Record

GROUP = "group"
PARTITION = Partition("topic-id", "topic", 0)
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CODEC = EntryCodec()


def entry(at: datetime = NOW, **changes: Any) -> AuditEntry:
    plain = AuditEntry(
        request_id=request_id_at(at),
        timestamp=at,
        producer_id=new_producer_id(),
        sequence=0,
        user_id="ada",
        provider="anthropic",
        action="messages.create",
        status="success",
        library_version="test",
    )
    return replace(plain, **changes)


def row_of(audit_entry: AuditEntry) -> Record:
    return CODEC.decode_record(CODEC.encode(audit_entry))


def batch(
    rows: list[Record], expected: int | None, upto: int, *, bad: list[DeadLetter] | None = None
) -> DecodedBatch:
    return DecodedBatch(rows, bad or [], [OffsetAdvance(PARTITION, expected, upto)])


def dead_letter(offset: int, value: bytes | None = b"\x00\xff garbage \\x") -> DeadLetter:
    return DeadLetter(
        Message(PARTITION, offset, NOW, b"key\x00", value, None), "bad_body", "cannot\x00 decode"
    )


def fetch(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def count(dsn: str, table: str = "llm_audit_log") -> int:
    return int(fetch(dsn, f"SELECT count(*) FROM {table}")[0][0])


def partitions_of(dsn: str) -> list[str]:
    """The partition of every row, in the order of their ids."""
    found = fetch(dsn, "SELECT tableoid::regclass::text FROM llm_audit_log ORDER BY request_id")
    return [name for (name,) in found]
