"""Entries of several years, and what of them an independent computation says must still be there.

The computation below shares nothing with the package: periods stand here in its own words, and the calendar's
arithmetic is PostgreSQL's (`moment - interval`), not Python's.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from psycopg2.extras import RealDictCursor

from llm_audit_schemas import AuditEntry, request_id_at
from llm_audit_schemas.codec import Record
from tests.store.rows import entry, row_of

KEPT: Mapping[str, Mapping[str, str | None]] = {
    "standard": {"row": "2 years", "hashes": "1 year", "error_message": "1 year"},
    "hipaa": {"row": "6 years", "hashes": "6 years", "error_message": "6 years"},
    "gdpr": {"row": "13 months", "hashes": "6 months", "error_message": "45 days"},
    "forever": {"row": None, "hashes": "3 years", "error_message": None},
    "nobody-knows": {"row": None, "hashes": None, "error_message": None},
}
"""Class to how long each thing is kept; None is forever."""

POLICY_FILE = """
[policies.gdpr]
metadata = {period = "13 months", justification = "billing disputes"}
hashes = {period = "6 months", justification = "security incidents"}
errors = {period = "45 days", justification = "support"}
content = {period = "never", justification = "not needed"}

[policies.forever]
metadata = "forever"
hashes = "3 years"
errors = "forever"
content = "30 days"
"""

HASHES = ("system_prompt_hash", "input_hash", "output_hash", "hash_key_id", "canonical_form")


def entry_at(at: datetime, retention_class: str, chance: random.Random, **changes: Any) -> AuditEntry:
    """An entry with everything that can expire, or for some with a part of it."""
    failed = chance.random() < 0.3
    hashed = chance.random() < 0.8
    return entry(
        at,
        request_id=request_id_at(at, chance.randbytes(10)),
        retention_class=retention_class,
        user_id=f"user-{chance.randrange(5)}",
        tenant=chance.choice([None, "one", "two"]),
        status="error" if failed else "success",
        error_type="overloaded_error" if failed else None,
        error_message="Overloaded, says the server" if failed else None,
        content_mode="hash" if hashed else "none",
        system_prompt_hash="5" * 64 if hashed and chance.random() < 0.5 else None,
        input_hash="a" * 64 if hashed else None,
        output_hash="b" * 64 if hashed and not failed else None,
        hash_key_id="2026-11" if hashed else None,
        canonical_form=1 if hashed else None,
        **changes,
    )


def entries_between(
    first: datetime, last: datetime, classes: Sequence[str], chance: random.Random, *, every: timedelta
) -> list[AuditEntry]:
    """Entries of every class, spread over a time; among them each month's first and last millisecond."""
    moments = []
    at = first
    while at < last:
        moments.append(at + chance.random() * every)
        if at.day == 1 or at.month != (at + every).month:
            start = (at + every).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            moments += [start - timedelta(milliseconds=1), start]
        at += every
    return [
        entry_at(moment.replace(microsecond=moment.microsecond // 1000 * 1000), name, chance)
        for moment in moments
        if first <= moment < last
        for name in classes
    ]


def rows_of(entries: Iterable[AuditEntry]) -> list[Record]:
    return [row_of(each) for each in entries]


def stored(dsn: str) -> dict[str, dict[str, Any]]:
    """The whole log: request_id to its columns, without when the row was made."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute("SET LOCAL timezone = 'UTC'")
            cursor.execute("SELECT * FROM llm_audit_log")
            rows = [dict(row) for row in cursor.fetchall()]
    finally:
        connection.close()
    for row in rows:
        del row["created_at"]
    found = {row["request_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def expected(
    dsn: str, rows: Mapping[str, dict[str, Any]], as_of: datetime, held: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """What must be left, at a moment, of rows that once were stored."""
    moments = _cutoffs(dsn, as_of)
    kept_back = set(held)
    left = {}
    for request_id, row in rows.items():
        cutoffs = moments[row["retention_class"]]

        def gone(what: str, row: Any = row, cutoffs: Any = cutoffs) -> bool:
            return cutoffs[what] is not None and row["timestamp"] < cutoffs[what]

        if request_id in kept_back:
            left[request_id] = row
        elif not gone("row"):
            left[request_id] = {
                **row,
                **(dict.fromkeys(HASHES) if gone("hashes") else {}),
                **({"error_message": None} if gone("error_message") else {}),
            }
    return left


def _cutoffs(dsn: str, as_of: datetime) -> dict[str, dict[str, datetime | None]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SET LOCAL timezone = 'UTC'")

            def minus(span: str | None) -> datetime | None:
                cursor.execute("SELECT %s::timestamptz - %s::interval", (as_of, span))
                (moment,) = cursor.fetchone()  # type: ignore[misc]  # one row always
                return None if moment is None else moment.astimezone(UTC)

            return {name: {what: minus(span) for what, span in kept.items()} for name, kept in KEPT.items()}
    finally:
        connection.close()
