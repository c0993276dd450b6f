"""Migrations: applied once whoever starts, and never over a database that they do not know."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import psycopg2
import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.migrate import command
from llm_audit_consumer.errors import SchemaMismatchError, UnstorableRowError
from llm_audit_consumer.store.migrations_runner import Migration, migrate, pending, shipped
from tests.parts.databases import Database


def test_they_are_applied_once_and_in_order(database: Database) -> None:
    versions = [migration.version for migration in shipped()]
    assert versions == list(range(1, len(versions) + 1))
    assert pending(database.dsn) == shipped()
    assert migrate(database.dsn) == shipped()
    assert migrate(database.dsn) == []
    assert pending(database.dsn) == []


def test_several_consumers_may_start_at_once(database: Database) -> None:
    code = "import sys; from llm_audit_consumer.store import migrate; print(len(migrate(sys.argv[1])))"
    starting = [
        subprocess.Popen([sys.executable, "-c", code, database.dsn], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    applied = sorted(int(each.communicate(timeout=60)[0]) for each in starting)
    assert applied == [0, 0, 0, len(shipped())]
    assert [each.returncode for each in starting] == [0] * 4


def test_a_file_changed_after_it_was_applied_is_noticed(database: Database) -> None:
    migrate(database.dsn)
    changed = [replace(shipped()[0], sql=shipped()[0].sql + "-- harmless?\n"), *shipped()[1:]]
    with pytest.raises(SchemaMismatchError, match=r"migration 1 .* was changed"):
        migrate(database.dsn, changed)


def test_a_database_of_a_newer_release_is_left_alone(database: Database) -> None:
    newer = [*shipped(), Migration(99, "from_the_future", "SELECT 1")]
    migrate(database.dsn, newer)
    with pytest.raises(
        SchemaMismatchError, match=r"migration 99 .from_the_future., which this release does not know"
    ):
        migrate(database.dsn)


def test_a_migration_that_fails_leaves_nothing_behind(database: Database) -> None:
    broken = [*shipped(), Migration(99, "broken", "CREATE TABLE half_made (id int); SELECT 1 / 0")]
    with pytest.raises(UnstorableRowError):
        migrate(database.dsn, broken)
    connection = psycopg2.connect(database.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('half_made'), (SELECT max(version) FROM llm_audit_migration)")
        assert cursor.fetchone() == (None, len(shipped()))
    connection.close()
    assert migrate(database.dsn) == []


def run(database: Database, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["--dsn", database.dsn, *options])
    return result.exit_code, result.stdout


def test_the_command_says_what_it_does(database: Database) -> None:
    assert run(database, "--check") == (1, "pending: 0001 audit_log\npending: 0002 delivery\n")
    assert run(database, "--dry-run")[0] == 0
    code, said = run(database, "--json")
    assert code == 0
    assert json.loads(said) == {
        "applied": True,
        "migrations": [{"version": 1, "name": "audit_log"}, {"version": 2, "name": "delivery"}],
    }
    assert run(database, "--check") == (0, "The tables are up to date.\n")
