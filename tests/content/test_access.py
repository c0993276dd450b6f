"""Content has one door, which leaves a record first: attempts to read around it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg2
import pytest

from llm_audit_schemas import AuditEntry
from tests.consumer.entries import new_entry
from tests.consumer.tables import Tables
from tests.content.stored import store_content, store_entries
from tests.content.trail import forms_of
from tests.parts.databases import Database
from tests.roles.logins import Logins

REFUSED = psycopg2.errors.InsufficientPrivilege


@pytest.fixture
def entry(trail: Database, tmp_path: Any) -> AuditEntry:
    made = new_entry(content_mode="encrypted")
    store_entries(trail.dsn, made)
    store_content(trail.dsn, f"file:{tmp_path / 'keys'}", made, forms_of("question", "answer"))
    return made


@pytest.fixture
def reader(trail: Database, new_login: Logins) -> str:
    return new_login(trail.dsn, "llm_audit_content_reader")


@contextmanager
def connected(dsn: str) -> Iterator[Any]:
    connection = psycopg2.connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


def ask(cursor: Any, entry: AuditEntry) -> int:
    cursor.execute("SELECT llm_audit_ask_content(%s, 'grace', 'case 4711')", [entry.request_id])
    return int(cursor.fetchone()[0])


def refuse(dsn: str, words: str, access: int) -> None:
    with pytest.raises(REFUSED, match=words):
        Tables(dsn).query("SELECT * FROM llm_audit_open_content(%s)", access)


def test_content_is_read_in_a_later_transaction_than_the_one_that_asked(
    trail: Database, reader: str, entry: AuditEntry
) -> None:
    with connected(reader) as connection:
        with connection, connection.cursor() as cursor:
            access = ask(cursor, entry)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT part FROM llm_audit_open_content(%s)", [access])
            assert cursor.fetchall() == [("input",), ("output",)]
    ((who, role, reason),) = Tables(trail.dsn).query(
        "SELECT asked_by, database_role, reason FROM llm_audit_content_access"
    )
    assert (who, reason) == ("grace", "case 4711")
    assert role == psycopg2.extensions.parse_dsn(reader)["user"]


@pytest.mark.parametrize("between", ["", "SAVEPOINT one", "DECLARE c CURSOR FOR SELECT 1"])
def test_not_in_the_same_transaction_so_that_rolling_back_hides_nothing(
    trail: Database, reader: str, entry: AuditEntry, between: str
) -> None:
    with connected(reader) as connection, connection.cursor() as cursor:
        if between.startswith("SAVEPOINT"):
            cursor.execute(between)
        access = ask(cursor, entry)
        if between.startswith("SAVEPOINT"):
            cursor.execute("RELEASE SAVEPOINT one")
        elif between:
            cursor.execute(between)
        with pytest.raises(REFUSED, match="not committed yet"):
            cursor.execute("SELECT * FROM llm_audit_open_content(%s)", [access])
        connection.rollback()
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_content_access") == [(0,)]


def test_reading_and_rolling_back_leaves_the_record(trail: Database, reader: str, entry: AuditEntry) -> None:
    with connected(reader) as connection:
        with connection, connection.cursor() as cursor:
            access = ask(cursor, entry)
        with connection.cursor() as cursor:
            cursor.execute("SELECT part FROM llm_audit_open_content(%s)", [access])
            assert cursor.fetchall()
        connection.rollback()
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_content_access") == [(1,)]


def test_nobody_uses_another_ones_record_or_an_old_one(
    trail: Database, reader: str, entry: AuditEntry, new_login: Logins
) -> None:
    with connected(reader) as connection, connection, connection.cursor() as cursor:
        access = ask(cursor, entry)
    other = new_login(trail.dsn, "llm_audit_content_reader")
    refuse(other, "ask by llm_audit_ask_content first", access)
    Tables(trail.dsn).query(
        "ALTER TABLE llm_audit_content_access DISABLE TRIGGER USER; "
        "UPDATE llm_audit_content_access SET asked_at = asked_at - interval '11 minutes'"
    )
    refuse(reader, "older than ten minutes", access)


AROUND = (
    "SELECT wrapped FROM llm_audit_content",
    "SELECT llm_audit_content FROM llm_audit_content",
    "COPY llm_audit_content TO STDOUT",
    "CREATE TEMPORARY TABLE copied AS SELECT * FROM llm_audit_content",
    "INSERT INTO llm_audit_content_access (request_id, asked_by, reason, transaction) "
    "VALUES (gen_random_uuid(), 'grace', 'none', '3')",
    "UPDATE llm_audit_content_access SET reason = 'another'",
    "DELETE FROM llm_audit_content_access",
    "TRUNCATE llm_audit_content_access",
    "DELETE FROM llm_audit_content",
    "SET ROLE llm_audit_owner",
    "SET ROLE llm_audit_retention",
)


@pytest.mark.parametrize("role", ["llm_audit_content_reader", "llm_audit_auditor", "llm_audit_writer"])
def test_there_is_no_other_way(trail: Database, new_login: Logins, entry: AuditEntry, role: str) -> None:
    with connected(new_login(trail.dsn, role)) as connection, connection.cursor() as cursor:
        for attempt in AROUND:
            run = partial(cursor.copy_expert, file=io.StringIO()) if "COPY" in attempt else cursor.execute
            with pytest.raises(REFUSED):
                run(attempt)
            connection.rollback()


def test_not_by_naming_a_month_either(trail: Database, reader: str, entry: AuditEntry) -> None:
    months = Tables(trail.dsn).query(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'llm_audit_content'::regclass"
    )
    assert len(months) > 3
    for (month,) in months:
        with connected(reader) as connection, connection.cursor() as cursor, pytest.raises(REFUSED):
            cursor.execute(f"SELECT * FROM {month}")


def test_only_readers_may_ask_and_nobody_without_a_reason(
    trail: Database, new_login: Logins, reader: str, entry: AuditEntry
) -> None:
    for role in ("llm_audit_auditor", "llm_audit_writer", "llm_audit_retention"):
        login = new_login(trail.dsn, role)
        with connected(login) as connection, connection.cursor() as cursor, pytest.raises(REFUSED):
            ask(cursor, entry)
    for who, reason in (("grace", "  "), ("", "case 4711")):
        with pytest.raises(psycopg2.errors.CheckViolation):
            Tables(reader).query("SELECT llm_audit_ask_content(%s, %s, %s)", entry.request_id, who, reason)


def test_owner_and_superuser_change_no_content_by_accident(trail: Database, entry: AuditEntry) -> None:
    for attempt in ("UPDATE llm_audit_content SET part = part", "DELETE FROM llm_audit_content"):
        with pytest.raises(REFUSED, match="retention and erasure alone"):
            Tables(trail.dsn).query(attempt)


def test_the_auditor_sees_that_there_is_content_and_who_looked(
    trail: Database, new_login: Logins, entry: AuditEntry
) -> None:
    tables = Tables(new_login(trail.dsn, "llm_audit_auditor"))
    assert tables.query("SELECT part, truncated FROM llm_audit_content ORDER BY 1") == [
        ("input", False),
        ("output", False),
    ]
    assert tables.query("SELECT count(*) FROM llm_audit_content_access") == [(0,)]
