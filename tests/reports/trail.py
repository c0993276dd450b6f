"""A small trail of known calls, written as the consumer writes it, a large one, and reports asked of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from click.testing import CliRunner, Result

from llm_audit_consumer.batch import DecodedBatch
from llm_audit_consumer.cli.report import command
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at
from tests.parts.databases import Database

PRODUCER = new_producer_id()
NOVEMBER = ("--since", "2026-11-01", "--until", "2026-12-01")
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
    return call_at(datetime(2026, month, day, hour, tzinfo=UTC), **changes)


def call_at(at: datetime, **changes: Any) -> AuditEntry:
    return replace(_NOTHING, request_id=request_id_at(at), timestamp=at, **changes)


def cost(text: str) -> Decimal:
    return Decimal(text)


def days_of(user: str, tokens: Sequence[int | None], *, first: int = 1) -> list[AuditEntry]:
    """A call a day, each with so many input tokens."""
    return [call(day, user_id=user, input_tokens=count) for day, count in enumerate(tokens, start=first)]


def write(dsn: str, entries: Iterable[AuditEntry]) -> None:
    migrate(dsn)
    codec = EntryCodec()
    store = AuditStore(dsn)
    store.write("test", DecodedBatch([codec.decode_record(codec.encode(entry)) for entry in entries], [], []))
    store.close()


def write_many(dsn: str, first_day: datetime) -> None:
    """50,000 calls by 25,000 users over 50 days, 1,000 a day; see many_calls.sql."""
    migrate(dsn)
    with closing(psycopg2.connect(dsn)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(Path(__file__).with_name("many_calls.sql").read_text(), {"first_day": first_day})
        cursor.execute("ANALYZE llm_audit_log")


def report(database: Database, name: str, *options: str, time: Sequence[str] = NOVEMBER) -> Result:
    """What `llm-audit report NAME` says; our own errors are raised."""
    run = CliRunner().invoke(command, [name, "--dsn", database.dsn, *time, *options])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return run


def rows(
    database: Database, name: str, *options: str, time: Sequence[str] = NOVEMBER
) -> list[dict[str, Any]]:
    """The rows of its JSON."""
    found: list[dict[str, Any]] = json.loads(report(database, name, "--json", *options, time=time).stdout)
    return found
