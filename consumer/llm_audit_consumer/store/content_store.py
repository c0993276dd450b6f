"""Writes content, its dead letters and its offsets in one transaction, or nothing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from llm_audit_consumer.batch import DeadLetter, OffsetAdvance
from llm_audit_consumer.content.sql import statement as content_statement
from llm_audit_consumer.content.wrapping import StoredContent
from llm_audit_consumer.store.delivery import advance_offset, insert_dead_letters
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement

_STATEMENT_TIMEOUT_MS = 60_000


def write_content(
    database: Database,
    group: str,
    contents: Sequence[StoredContent],
    dead_letters: Sequence[DeadLetter],
    advances: Sequence[OffsetAdvance],
) -> None:
    """Write a batch; when this returns it is committed. What is there already stays as it is.

    Raises:
        RetryableStoreError: rolled back, or its commit is in doubt; reading on from the stored offsets is right.
        OffsetConflictError: rolled back, because another consumer has advanced one of the partitions.
        UnstorableRowError: rolled back, because PostgreSQL refuses a value.
        SchemaMismatchError: rolled back, because the tables do not fit.
    """
    with database.transaction():
        database.execute(statement("begin"), {"statement_timeout_ms": _STATEMENT_TIMEOUT_MS})
        database.execute_many(content_statement("insert_content"), [asdict(each) for each in contents])
        insert_dead_letters(database, group, dead_letters)
        for advance in advances:
            advance_offset(database, group, advance)


def create_content_partitions(database: Database, through: date) -> int:
    """Make the monthly partitions up to and including the month of ``through``; returns how many were made.

    Raises:
        DatabaseUnavailableError: the database does not answer, or someone's long query holds the table.
    """
    with database.transaction():
        rows = database.rows(content_statement("create_content_partitions"), {"through": through})
    return int(rows[0]["made"])
