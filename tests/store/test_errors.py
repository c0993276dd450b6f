"""Errors in our own terms: of the right kind, with no password and no value of a row in them, however logged."""

from __future__ import annotations

import io
import traceback
from decimal import Decimal

import psycopg2
import pytest

from llm_audit_consumer.errors import (
    AuditConsumerError,
    ConfigurationError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    RetryableStoreError,
    SchemaMismatchError,
    UnstorableRowError,
)
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.postgres import Database as Connection
from tests.parts.databases import Database
from tests.store.rows import GROUP, batch, dead_letter, entry, fetch, row_of

SECRET = "hunter2planted"
AT, SLASH = "hunter2@planted", "hunter2/planted"


def all_that_is_said(error: AuditConsumerError) -> str:
    """What a log may hold of an error: itself, its hint, and the whole traceback with what it was caused by."""
    return "".join([str(error), repr(error), error.hint, *traceback.format_exception(error)])


@pytest.mark.parametrize(
    ("dsn", "kind"),
    [
        (f"postgresql://postgres:{SECRET}@127.0.0.1:1/audit", DatabaseUnavailableError),
        (f"postgresql://postgres:{SECRET}@nowhere.invalid:5432/audit", DatabaseUnavailableError),
        (f"postgresql://postgres:{SECRET}@127.0.0.1:notaport/audit", ConfigurationError),
        (f"postgresql://postgres:{AT}@127.0.0.1:1/audit", ConfigurationError),
        (f"postgresql://postgres:{SLASH}@127.0.0.1:1/audit", ConfigurationError),
        ("postgresql://postgres:2/planted@127.0.0.1:1/audit", ConfigurationError),
        ("postgresql://postgres:planted%zz@127.0.0.1:1/audit", ConfigurationError),
        (f"host=127.0.0.1 password={SECRET} nonsense", ConfigurationError),
        (f"host=127.0.0.1 password='{SECRET} port=1", ConfigurationError),
        (SECRET, ConfigurationError),
    ],
)
def test_a_database_that_cannot_be_reached_is_said_without_the_password(
    dsn: str, kind: type[AuditConsumerError]
) -> None:
    with pytest.raises(kind) as caught:
        AuditStore(dsn, connect_timeout=2).ping()
    assert type(caught.value) is kind
    assert caught.value.hint
    for part in (SECRET, "planted", "hunter2"):
        # The traceback quotes the source lines of this file, which name no secret themselves.
        assert part not in all_that_is_said(caught.value)


def test_a_wrong_password_is_said_without_it(database: Database) -> None:
    wrong = database.dsn.replace("://postgres:", f"://postgres:{SECRET}")
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught:
        AuditStore(wrong).ping()
    assert SECRET not in all_that_is_said(caught.value)


def test_what_the_connection_string_says_goes_before_our_defaults(database: Database) -> None:
    connection = Connection(f"{database.dsn}?application_name=mine", application_name="ours")
    with connection.transaction():
        (row,) = connection.rows("SELECT current_setting('application_name') AS name")
    connection.close()
    assert row == {"name": "mine"}


def test_rows_are_not_quoted_in_what_is_raised(store: AuditStore, database: Database) -> None:
    too_dear = {**row_of(entry(user_id="planted")), "cost_usd": Decimal("98765432109876543")}
    no_json = {**row_of(entry()), "metadata": '{"planted": oops}'}
    for row in (too_dear, no_json):
        with pytest.raises(UnstorableRowError) as caught:
            store.write(GROUP, batch([row], None, 1))
        said = all_that_is_said(caught.value)
        assert "SQLSTATE" in said
        assert "98765432109876543" not in said
        assert "planted" not in said


def slow_copy(connection: Connection, text: str) -> None:
    with connection.transaction():
        connection.execute("CREATE TABLE slow (name text CHECK (pg_sleep(30) IS NOT NULL))")
        connection.execute("SET LOCAL statement_timeout = 100")
        connection.copy_in("COPY slow FROM STDIN", io.StringIO(text))


def test_rows_are_not_quoted_when_a_copy_times_out_either(database: Database) -> None:
    connection, secret = Connection(database.dsn, application_name="test"), SECRET
    with pytest.raises(RetryableStoreError, match="statement timeout") as caught:
        slow_copy(connection, f"{secret}\n")
    connection.close()
    assert isinstance(caught.value.__context__, psycopg2.Error)
    assert secret in str(caught.value.__context__)  # PostgreSQL did quote it: the test means something
    assert secret not in all_that_is_said(caught.value)


def test_a_dead_letters_bytes_are_not_quoted(store: AuditStore, database: Database) -> None:
    fetch(database.dsn, "ALTER TABLE llm_audit_dead_letter ADD CHECK (length(value) < 3)")
    letter = dead_letter(0, SECRET.encode())
    with pytest.raises(UnstorableRowError) as caught:
        store.write(GROUP, batch([], None, 1, bad=[letter]))
    assert SECRET not in all_that_is_said(caught.value)
    assert SECRET.encode().hex() not in all_that_is_said(caught.value)


RAISED = {
    "40001": RetryableStoreError,
    "40P01": DatabaseBusyError,
    "53100": RetryableStoreError,
    "57P01": RetryableStoreError,
    "25006": RetryableStoreError,
    "XX000": RetryableStoreError,
    "22003": UnstorableRowError,
    "23502": UnstorableRowError,
    "54000": UnstorableRowError,
    "42P01": SchemaMismatchError,
    "42601": SchemaMismatchError,
    "42P07": SchemaMismatchError,
    "3F000": SchemaMismatchError,
    "42501": ConfigurationError,
}


@pytest.mark.parametrize("code", RAISED)
def test_each_kind_of_trouble_is_told_apart(code: str, database: Database) -> None:
    connection = Connection(database.dsn, application_name="test")
    with pytest.raises(AuditConsumerError) as caught, connection.transaction():
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '{code}'; END $$")
    connection.close()
    assert type(caught.value) is RAISED[code]


def test_a_role_without_privilege_is_a_matter_of_configuration(store: AuditStore, database: Database) -> None:
    role = f"reader_{database.name}"
    fetch(database.dsn, f"CREATE ROLE {role} LOGIN PASSWORD 'planted'")
    try:
        reader = AuditStore(psycopg2.extensions.make_dsn(database.dsn, user=role, password="planted"))
        with pytest.raises(ConfigurationError, match="permission denied") as caught:
            reader.write(GROUP, batch([row_of(entry())], None, 1))
        reader.close()
        assert caught.value.hint
    finally:
        fetch(database.dsn, f"DROP ROLE {role}")
