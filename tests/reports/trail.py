"""A small trail of known calls, written as the consumer writes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from llm_audit_consumer.batch import DecodedBatch
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at

PRODUCER = new_producer_id()
_NOTHING = AuditEntry(
    request_id=request_id_at(datetime(2026, 11, 1, tzinfo=UTC)),
    timestamp=datetime(2026, 11, 1, tzinfo=UTC),
    producer_id=PRODUCER,
    sequence=0,
    user_id="ada",
    provider="anthropic",
    action="messages.create",
    status="success",
    model="claude-sonnet-4-6",
    library_version="test",
)


def call(day: int, *, month: int = 11, hour: int = 12, **changes: Any) -> AuditEntry:
    """A call on a day of November 2026."""
    at = datetime(2026, month, day, hour, tzinfo=UTC)
    return replace(_NOTHING, request_id=request_id_at(at), timestamp=at, **changes)


def cost(text: str) -> Decimal:
    return Decimal(text)


def write(dsn: str, entries: Iterable[AuditEntry]) -> None:
    migrate(dsn)
    codec = EntryCodec()
    store = AuditStore(dsn)
    store.write("test", DecodedBatch([codec.decode_record(codec.encode(entry)) for entry in entries], [], []))
    store.close()
