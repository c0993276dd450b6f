"""Migrations: applied once whoever starts, and never over a database that they do not know."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg2
import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.migrate import command
from llm_audit_consumer.errors import SchemaMismatchError, UnstorableRowError
from llm_audit_consumer.store.migrations_runner import Migration, migrate, pending, shipped
from tests.parts.databases import Database
from tests.store.rows import fetch


def test_they_are_applied_once_and_in_order(database: Database) -> None:
    versions = [migration.version for migration in shipped()]
    assert versions == sorted(set(versions))
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
    applied = [int(each.communicate(timeout=60)[0]) for each in starting]
    assert sum(applied) == len(shipped()), "they take turns, and each migration is applied by one of them"
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
    left = "SELECT to_regclass('half_made'), (SELECT max(version) FROM llm_audit_migration)"
    assert fetch(database.dsn, left) == [(None, shipped()[-1].version)]
    assert migrate(database.dsn) == []


def run(database: Database, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, ["--dsn", database.dsn, *options])
    return result.exit_code, result.stdout


def test_the_command_says_what_it_does(database: Database) -> None:
    said_pending = "".join(f"pending: {each.version:04} {each.name}\n" for each in shipped())
    every = [{"version": each.version, "name": each.name} for each in shipped()]
    assert said_pending.startswith("pending: 0001 audit_log\npending: 0002 delivery\n")
    assert run(database, "--check") == (1, said_pending)
    assert run(database, "--dry-run") == (0, said_pending)
    code, said = run(database, "--check", "--json")
    assert (code, json.loads(said)) == (1, {"applied": False, "migrations": every})
    assert fetch(database.dsn, "SELECT count(*) FROM pg_class WHERE relname LIKE 'llm_audit%'") == [(0,)]
    code, said = run(database, "--json")
    assert (code, json.loads(said)) == (0, {"applied": True, "migrations": every})
    assert run(database, "--check") == (0, "The tables are up to date.\n")
    assert run(database) == (0, "The tables are up to date.\n")


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--check"]])
def test_the_command_refuses_a_database_it_does_not_know(options: list[str], database: Database) -> None:
    migrate(database.dsn)
    fetch(database.dsn, "UPDATE llm_audit_migration SET sha256 = 'another' WHERE version = 2")
    result = CliRunner().invoke(command, ["--dsn", database.dsn, *options])
    assert isinstance(result.exception, SchemaMismatchError)
    assert "migration 2 (delivery) was changed" in str(result.exception)


def test_a_table_of_that_name_that_is_not_ours_is_left_alone(database: Database) -> None:
    fetch(database.dsn, "CREATE TABLE llm_audit_log (theirs text)")
    with pytest.raises(SchemaMismatchError, match='"llm_audit_log" already exists') as caught:
        migrate(database.dsn)
    assert "did not make" in caught.value.hint
    assert pending(database.dsn) == shipped()
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(0,)]


def test_a_consumer_that_died_while_migrating_holds_nobody_up(database: Database) -> None:
    holder = psycopg2.connect(database.dsn)
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtext('llm_audit_migrate')), pg_backend_pid()")
    holder.commit()
    with ThreadPoolExecutor(1) as waiting:
        applied = waiting.submit(migrate, database.dsn)
        asleep = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 20
        while not fetch(database.dsn, asleep):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert pending(database.dsn) == shipped()
        fetch(database.dsn, f"SELECT pg_terminate_backend({holder.info.backend_pid})")
        assert applied.result(30) == shipped()
    holder.close()
