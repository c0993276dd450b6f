"""Reads what is stored of one request, and its content through the one door that records who looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from llm_audit_consumer.content.sql import statement
from llm_audit_consumer.content.wrapping import StoredContent
from llm_audit_consumer.errors import ConfigurationError, NothingFoundError
from llm_audit_consumer.store.postgres import Database
from llm_audit_schemas.content_hash import HashKey, Part, digest

Row = Mapping[str, Any]

ORPHAN_COLUMNS = ("request_id", "part", "received_at", "plain_bytes", "retention_class", "recipient_key_id")
FOUND_COLUMNS = ("request_id", "timestamp", "user_id", "model", "status", "kind", "hash_key_id")

_SHORTEST_REASON = 3


@contextmanager
def opened(dsn: str) -> Iterator[Database]:
    """A connection for the time of a ``with``.

    Raises:
        DatabaseUnavailableError: the server does not answer or refuses.
    """
    database = Database(dsn, application_name="llm-audit-content")
    try:
        yield database
    finally:
        database.close()


def entry(database: Database, request_id: str) -> Row:
    """The log's row of a request.

    Raises:
        NothingFoundError: there is none.
    """
    with database.transaction():
        found = database.rows(statement("entry"), {"request_id": request_id})
    if not found:
        raise NothingFoundError(
            f"there is no entry {request_id}",
            "it may be on its way, or have expired: llm-audit retention plan",
        )
    return found[0]


def content_facts(database: Database, request_id: str) -> list[dict[str, Any]]:
    """What is known of a request's content without opening it."""
    with database.transaction():
        return database.rows(statement("content_facts"), {"request_id": request_id})


def open_content(database: Database, request_id: str, *, operator: str, reason: str) -> list[StoredContent]:
    """A request's content, still under both its layers. That somebody looked is committed before anything is read.

    Raises:
        ConfigurationError: no name, no reason, or a role that may not.
        DatabaseUnavailableError: the database does not answer.
    """
    if not operator.strip() or len(reason.strip()) < _SHORTEST_REASON:
        raise ConfigurationError(
            "content is revealed to somebody, for a reason, and both are recorded",
            "say why, in three letters or more: --reason 'case 4711'",
        )
    with database.transaction():
        asked = {"request_id": request_id, "operator": operator, "reason": reason}
        access_id = database.rows(statement("ask_content"), asked)[0]["access_id"]
    with database.transaction():
        rows = database.rows(statement("open_content"), {"access_id": access_id})
    return [
        StoredContent(**{**row, "wrapped": None if row["wrapped"] is None else bytes(row["wrapped"])})
        for row in rows
    ]


def orphans(database: Database, grace_seconds: float, limit: int | None) -> list[dict[str, Any]]:
    """Content that has had no entry for longer than the grace."""
    with database.transaction():
        return database.rows(statement("orphans"), {"grace_seconds": grace_seconds, "limit": limit})


def find_text(
    database: Database,
    keys: Sequence[HashKey],
    forms: Sequence[tuple[Part, bytes]],
    since: datetime,
    until: datetime,
    limit: int | None,
) -> list[dict[str, Any]]:
    """The entries that carry the hash of one of these canonical forms under one of these keys."""
    tried = [(key.key_id, part, digest(key, part, form)) for key in keys for part, form in forms]
    with database.transaction():
        return database.rows(
            statement("find_hashes"),
            {
                "key_ids": [key_id for key_id, _, _ in tried],
                "kinds": [kind for _, kind, _ in tried],
                "hashes": [each for _, _, each in tried],
                "since": since,
                "until": until,
                "limit": limit,
            },
        )
