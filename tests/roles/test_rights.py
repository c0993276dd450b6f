"""What each role may do, and every way found to do more."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from llm_audit_consumer.batch import Written
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.copy_text import COLUMN_NAMES, copy_text
from tests.parts.databases import Database
from tests.roles.logins import Logins
from tests.store.rows import GROUP, batch, count, dead_letter, entry, fetch, row_of

REFUSED = psycopg2.errors.InsufficientPrivilege
NEXT_YEAR = datetime.now(UTC).year + 1
NEW_MONTH = f"llm_audit_log_{NEXT_YEAR}_12"
THIS_MONTH = f"llm_audit_log_{datetime.now(UTC):%Y_%m}"

CHANGES = [
    "UPDATE {log} SET cost_usd = 0",
    "UPDATE {log} SET error_message = NULL WHERE user_id = 'ada'",
    "DELETE FROM {log}",
    "DELETE FROM {log} WHERE request_id = (SELECT request_id FROM {log} LIMIT 1)",
    "TRUNCATE {log}",
    "MERGE INTO {log} AS old USING (SELECT request_id AS id FROM {log}) AS new ON old.request_id = new.id "
    "WHEN MATCHED THEN UPDATE SET user_id = 'eve'",
    "MERGE INTO {log} AS old USING (SELECT request_id AS id FROM {log}) AS new ON old.request_id = new.id "
    "WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM {log} RETURNING request_id) SELECT count(*) FROM gone",
]
"""Ways to change or remove a row, of the log or of one of its partitions."""

RESHAPES = [
    "ALTER TABLE llm_audit_log DISABLE TRIGGER llm_audit_log_change",
    "ALTER TABLE llm_audit_log DETACH PARTITION {month}",
    "DROP TABLE {month}",
    "DROP TABLE llm_audit_log CASCADE",
    "ALTER TABLE llm_audit_log OWNER TO CURRENT_USER",
    "CREATE RULE hide AS ON INSERT TO llm_audit_log DO INSTEAD NOTHING",
    "CREATE TRIGGER twist BEFORE INSERT ON llm_audit_log FOR EACH ROW EXECUTE FUNCTION llm_audit_refuse_change()",
    "CREATE OR REPLACE FUNCTION llm_audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "GRANT llm_audit_retention TO CURRENT_USER",
    "SET ROLE llm_audit_retention",
    "SET ROLE llm_audit_owner",
    "SET session_replication_role = replica",
    "SELECT llm_audit_guard_truncate('llm_audit_log')",
    "CREATE TABLE llm_audit_mine (id int)",
    "LOCK TABLE llm_audit_log IN ACCESS EXCLUSIVE MODE",
    "UPDATE llm_audit_migration SET sha256 = ''",
    "DELETE FROM llm_audit_migration",
]

ITS_OWN = ("SET ROLE llm_audit_retention", "LOCK TABLE llm_audit_log IN ACCESS EXCLUSIVE MODE")
"""What retention may: whoever may delete rows may lock the table."""

READS = [
    "SELECT * FROM {log}",
    "SELECT user_id FROM {log}",
    "SELECT count(user_id) FROM {log}",
    "SELECT {log} FROM {log}",
    "COPY {log} TO STDOUT",
    "COPY (SELECT input_hash FROM {log}) TO STDOUT",
    "INSERT INTO {log} SELECT * FROM {log} RETURNING user_id",
    "CREATE TEMPORARY TABLE mine AS SELECT * FROM {log}",
    "CREATE TEMPORARY TABLE mine (LIKE {log})",
]
"""Ways to read more than request_id."""


@pytest.fixture
def filled(trail: Database) -> Database:
    """A trail with one entry this month and one in a month made later, and a dead letter."""
    store = AuditStore(trail.dsn)
    store.create_partitions(date(NEXT_YEAR, 12, 1))
    rows = [row_of(entry(datetime.now(UTC))), row_of(entry(datetime(NEXT_YEAR, 12, 5, tzinfo=UTC)))]
    store.write(GROUP, batch(rows, None, 2, bad=[dead_letter(1)]))
    store.close()
    return trail


@pytest.fixture
def writer(filled: Database, new_login: Logins) -> Iterator[Any]:
    connection = psycopg2.connect(new_login(filled.dsn, "llm_audit_writer"))
    yield connection
    connection.close()


def attempt(connection: Any, statement: str) -> None:
    """Run it, and take back whatever it did."""
    try:
        with connection.cursor() as cursor:
            if statement.startswith("COPY"):
                cursor.copy_expert(statement, io.StringIO())
            else:
                cursor.execute(statement)
    finally:
        connection.rollback()


def some_id(database: Database) -> str:
    return str(fetch(database.dsn, "SELECT max(request_id::text) FROM llm_audit_log")[0][0])


@pytest.mark.parametrize("log", ["llm_audit_log", THIS_MONTH, NEW_MONTH])
@pytest.mark.parametrize("role", ["llm_audit_writer", "llm_audit_auditor", "llm_audit_content_reader"])
def test_nobody_but_retention_changes_a_row(role: str, log: str, filled: Database, new_login: Logins) -> None:
    connection = psycopg2.connect(new_login(filled.dsn, role))
    for statement in CHANGES:
        with pytest.raises(REFUSED):
            attempt(connection, statement.format(log=log))
    connection.close()


@pytest.mark.parametrize("log", ["llm_audit_log", THIS_MONTH, NEW_MONTH])
@pytest.mark.parametrize("role", [None, "llm_audit_owner"])
def test_not_even_a_superuser_or_the_owner_changes_a_row_by_accident(
    role: str | None, log: str, filled: Database, new_login: Logins
) -> None:
    connection = psycopg2.connect(filled.dsn if role is None else new_login(filled.dsn, role))
    for statement in CHANGES:
        with pytest.raises(REFUSED, match="llm-audit retention and erasure alone"):
            attempt(connection, statement.format(log=log))
    connection.close()


@pytest.mark.parametrize(
    "role", ["llm_audit_writer", "llm_audit_auditor", "llm_audit_content_reader", "llm_audit_retention"]
)
def test_nobody_but_the_owner_changes_what_holds_them(role: str, filled: Database, new_login: Logins) -> None:
    connection = psycopg2.connect(new_login(filled.dsn, role))
    for statement in RESHAPES:
        if role == "llm_audit_retention" and statement in ITS_OWN:
            continue
        with pytest.raises(REFUSED):
            attempt(connection, statement.format(month=THIS_MONTH))
    rights = (
        "SELECT relacl::text, attacl::text FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid"
    )
    before = fetch(filled.dsn, f"{rights} WHERE relname ~ '^llm_audit' ORDER BY pg_class.oid, attnum")
    # To who has a right of its own PostgreSQL only warns that this gives nothing.
    with suppress(REFUSED), connection, connection.cursor() as cursor:
        cursor.execute("GRANT ALL ON llm_audit_log TO PUBLIC")
    assert fetch(filled.dsn, f"{rights} WHERE relname ~ '^llm_audit' ORDER BY pg_class.oid, attnum") == before
    connection.close()


@pytest.mark.parametrize("log", ["llm_audit_log", THIS_MONTH, NEW_MONTH])
def test_the_writer_reads_nothing_but_request_ids(log: str, writer: Any) -> None:
    for statement in READS:
        with pytest.raises(REFUSED):
            attempt(writer, statement.format(log=log))
    attempt(writer, "SELECT request_id FROM llm_audit_log")
    with pytest.raises(REFUSED):
        attempt(writer, "SELECT value FROM llm_audit_dead_letter")
    with pytest.raises(REFUSED):
        attempt(writer, "DELETE FROM llm_audit_dead_letter")
    with pytest.raises(REFUSED):
        attempt(writer, "UPDATE llm_audit_dead_letter SET detail = ''")
    with pytest.raises(REFUSED):
        attempt(writer, "DELETE FROM llm_audit_offset")


def test_the_writer_overwrites_nothing_by_inserting(filled: Database, writer: Any) -> None:
    row = {**row_of(entry(user_id="eve")), "request_id": some_id(filled)}
    text = copy_text([row]).getvalue()
    with pytest.raises(psycopg2.errors.UniqueViolation), writer.cursor() as cursor:
        cursor.copy_expert(f"COPY llm_audit_log ({COLUMN_NAMES}) FROM STDIN", io.StringIO(text))
    writer.rollback()
    for month in (THIS_MONTH, NEW_MONTH):
        with pytest.raises(REFUSED), writer.cursor() as cursor:
            cursor.copy_expert(f"COPY {month} ({COLUMN_NAMES}) FROM STDIN", io.StringIO(text))
        writer.rollback()
    with pytest.raises(REFUSED):
        attempt(
            writer,
            "INSERT INTO llm_audit_log (request_id, producer_id, timestamp, sequence, attempts, sanitization_count, "
            "streamed, truncated, user_id, provider, action, status, content_mode, retention_class, library_version) "
            f"VALUES ('{row['request_id']}', '{row['request_id']}', now(), 1, 1, 0, false, false, 'eve', 'p', 'a', "
            "'success', 'none', 'standard', 'x') ON CONFLICT (request_id) DO UPDATE SET user_id = 'eve'",
        )
    assert fetch(filled.dsn, "SELECT count(*) FROM llm_audit_log WHERE user_id = 'eve'") == [(0,)]


def test_the_writer_does_all_that_the_daemon_asks_of_the_store(trail: Database, new_login: Logins) -> None:
    store = AuditStore(new_login(trail.dsn, "llm_audit_writer"))
    store.verify_schema()
    first, second = row_of(entry()), row_of(entry())
    assert store.write(GROUP, batch([first], None, 1)) == Written(1, 0, 0)
    assert store.write(GROUP, batch([first, second], 1, 3, bad=[dead_letter(2)])) == Written(1, 1, 1)
    assert store.next_offsets(GROUP, "topic-id") == {0: 3}
    late = row_of(entry(datetime(NEXT_YEAR, 11, 5, tzinfo=UTC)))
    assert store.write(GROUP, batch([late], 3, 4)) == Written(1, 0, 0)
    assert store.create_partitions(date(NEXT_YEAR, 12, 1)) > 0
    assert store.write(GROUP, batch([late], 4, 5)) == Written(0, 1, 0)
    store.close()
    assert count(trail.dsn) == 3
    assert fetch(trail.dsn, f"SELECT count(*) FROM llm_audit_log_{NEXT_YEAR}_11") == [(1,)]


def test_months_made_by_the_writer_are_not_the_writers(trail: Database, new_login: Logins) -> None:
    store = AuditStore(new_login(trail.dsn, "llm_audit_writer"))
    store.create_partitions(date(NEXT_YEAR, 12, 1))
    store.close()
    found = fetch(
        trail.dsn,
        "SELECT DISTINCT pg_get_userbyid(relowner)::text, relacl::text FROM pg_class "
        f"WHERE relname IN ('{NEW_MONTH}', '{THIS_MONTH}', 'llm_audit_log_after')",
    )
    assert found == [("llm_audit_owner", None)]


def test_making_months_uses_no_name_of_the_callers(trail: Database, writer: Any) -> None:
    """A temporary table and a function of the caller's must not be run with the owner's rights."""
    with writer.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE llm_audit_log_after (stolen text)")
        cursor.execute(
            "CREATE FUNCTION pg_temp.llm_audit_id_at(moment timestamptz) RETURNS uuid LANGUAGE plpgsql AS "
            "'BEGIN RAISE EXCEPTION $$run with the rights of %$$, current_user; END'"
        )
        cursor.execute("SET search_path = pg_temp, public")
        cursor.execute("SELECT public.llm_audit_create_partitions(%s)", (date(NEXT_YEAR + 1, 1, 1),))
        assert cursor.fetchone() == (1,)


def test_too_many_months_are_refused(writer: Any) -> None:
    for through in ("9999-01-01", "infinity"):
        with pytest.raises(psycopg2.DataError):
            attempt(writer, f"SELECT llm_audit_create_partitions('{through}')")


def test_retention_deletes_and_clears_but_rewrites_no_fact(filled: Database, new_login: Logins) -> None:
    connection = psycopg2.connect(new_login(filled.dsn, "llm_audit_retention"))
    with pytest.raises(REFUSED):  # a member has its rights, but must say that it means them
        attempt(connection, "DELETE FROM llm_audit_log")
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE llm_audit_retention")
        cursor.execute("UPDATE llm_audit_log SET input_hash = NULL, error_message = NULL, user_id = 'erased'")
        assert cursor.rowcount == 2
    for statement in (
        "UPDATE llm_audit_log SET cost_usd = 0",
        "UPDATE llm_audit_log SET request_id = gen_random_uuid()",
        "UPDATE llm_audit_log SET timestamp = now()",
        "UPDATE llm_audit_log SET entry_mac = NULL",
        "TRUNCATE llm_audit_log",
        f"DELETE FROM {THIS_MONTH}",
    ):
        with pytest.raises(REFUSED):
            attempt(connection, f"SET LOCAL ROLE llm_audit_retention; {statement}")
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE llm_audit_retention")
        cursor.execute("DELETE FROM llm_audit_log")
        assert cursor.rowcount == 2
    connection.close()


def test_the_auditor_reads_the_log_and_no_message(filled: Database, new_login: Logins) -> None:
    connection = psycopg2.connect(new_login(filled.dsn, "llm_audit_auditor"))
    attempt(connection, "SELECT * FROM llm_audit_log")
    attempt(connection, "SELECT reason, detail FROM llm_audit_dead_letter")
    for column in ("*", "value", "identity"):
        with pytest.raises(REFUSED):
            attempt(connection, f"SELECT {column} FROM llm_audit_dead_letter")
    with pytest.raises(REFUSED):
        attempt(connection, f"SELECT llm_audit_create_partitions('{datetime.now(UTC) + timedelta(40)}')")
    connection.close()


def test_the_reader_of_content_reads_no_message_and_no_content_table(
    filled: Database, new_login: Logins
) -> None:
    connection = psycopg2.connect(new_login(filled.dsn, "llm_audit_content_reader"))
    for table in ("llm_audit_dead_letter", "llm_audit_offset", "llm_audit_content", THIS_MONTH):
        with pytest.raises(REFUSED):
            attempt(connection, f"SELECT * FROM {table}")
    connection.close()
