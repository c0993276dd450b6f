"""What is under a legal hold stays, whoever wants it gone."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.hold import command
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.retention import holds
from llm_audit_consumer.retention.holds import Scope
from llm_audit_consumer.retention.planning import DELETE_ROWS
from llm_audit_consumer.retention.policies import Policies
from tests.parts.databases import Database
from tests.retention.log import Log, moment
from tests.retention.test_months import YEAR, some
from tests.retention.trail import expected, stored
from tests.roles.logins import Logins

WHO = {"placed_by": "Grace", "reason": "case 4711"}
AFTER = moment(YEAR + 2, 6)


@pytest.fixture
def filled(log: Log) -> Log:
    log.months_until(date(YEAR, 8, 1))
    for month in (1, 2, 6):
        log.write(some(moment(YEAR, month), count=12) + some(moment(YEAR + 1, month), "gdpr", 12))
    return log


RETIRED = r"SELECT relname::text FROM pg_class WHERE relname ~ '^llm_audit_retired_log_\d{4}_\d\d$'"
SCOPES: dict[str, tuple[Scope, Callable[[dict[str, Any]], bool]]] = {
    "user": (Scope(user_id="user-1"), lambda row: row["user_id"] == "user-1"),
    "tenant": (Scope(tenant="one"), lambda row: row["tenant"] == "one"),
    "both": (
        Scope(user_id="user-1", tenant="one"),
        lambda row: (row["user_id"], row["tenant"]) == ("user-1", "one"),
    ),
    "everything": (Scope(), lambda _row: True),
}


@pytest.mark.parametrize("name", SCOPES)
def test_what_is_held_stays_as_it_is(name: str, filled: Log, policies: Policies) -> None:
    scope, under = SCOPES[name]
    before = stored(filled.dsn)
    held = {key for key, row in before.items() if under(row)}
    assert holds.rows_held(filled.dsn, scope) == len(held) > 0
    hold = holds.place(filled.dsn, scope, **WHO)
    plan = filled.apply(policies, AFTER).plan
    assert sum(plan.held.values()) > 0
    assert stored(filled.dsn) == expected(filled.dsn, before, AFTER, held)
    holds.release(filled.dsn, hold, released_by="Grace", reason="closed")
    filled.apply(policies, AFTER)
    assert stored(filled.dsn) == expected(filled.dsn, before, AFTER)


def test_a_range_holds_both_of_its_ends(filled: Log, policies: Policies) -> None:
    before = stored(filled.dsn)
    due = sorted(set(before) - set(expected(filled.dsn, before, AFTER)))
    scope = Scope(first_request_id=uuid.UUID(due[3]), last_request_id=uuid.UUID(due[7]))
    holds.place(filled.dsn, scope, **WHO)
    filled.apply(policies, AFTER)
    assert set(due) & set(stored(filled.dsn)) == set(due[3:8])


def test_a_hold_placed_between_two_steps_counts_at_once(filled: Log, policies: Policies) -> None:
    before = stored(filled.dsn)
    months: set[str] = set()

    def checkpoint(name: str) -> None:
        if name == "retired" and not months:  # the month is out of the log, and has yet to be dropped
            retired = filled.query(RETIRED)
            if retired and filled.query(f"SELECT count(*) FROM {retired[0][0]}") != [(0,)]:
                months.add(retired[0][0])
                holds.place(filled.dsn, Scope(), **WHO)

    filled.apply(policies, AFTER, checkpoint=checkpoint)
    assert months
    assert stored(filled.dsn) == before


def test_placing_a_hold_waits_for_the_transaction_under_way(filled: Log) -> None:
    retention = psycopg2.connect(filled.dsn)
    with retention.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(hashtext('llm_audit_legal_hold'))")
    placed = threading.Event()

    def place() -> None:
        holds.place(filled.dsn, Scope(), **WHO)
        placed.set()

    placing = threading.Thread(target=place)
    placing.start()
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while filled.query(waiting) == [(0,)]:
        assert placing.is_alive()
    assert not placed.is_set()
    retention.commit()
    retention.close()
    placing.join(30)
    assert placed.is_set()


@pytest.mark.parametrize(
    "statement", ["DELETE FROM llm_audit_log", "UPDATE llm_audit_log SET user_id = 'erased'"]
)
def test_the_log_itself_refuses_to_change_what_is_held(statement: str, filled: Log) -> None:
    holds.place(filled.dsn, Scope(user_id="user-2"), **WHO)
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="is under a legal hold"),
        closing(psycopg2.connect(filled.dsn)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"SET LOCAL ROLE llm_audit_retention; {statement} WHERE user_id = 'user-2'")


def test_holds_and_records_stay(filled: Log, policies: Policies, new_login: Logins) -> None:
    hold = holds.place(filled.dsn, Scope(tenant="one"), **WHO)
    filled.apply(policies, AFTER)
    holds.release(filled.dsn, hold, released_by="Ada", reason="closed")
    retention = new_login(filled.dsn, "llm_audit_retention")
    for dsn in (filled.dsn, retention):
        for statement in (
            "DELETE FROM llm_audit_legal_hold",
            "TRUNCATE llm_audit_legal_hold",
            "UPDATE llm_audit_legal_hold SET released_by = 'nobody'",
            "UPDATE llm_audit_legal_hold SET released_at = NULL, released_by = NULL, release_reason = NULL",
            "DELETE FROM llm_audit_retention_action",
            "TRUNCATE llm_audit_retention_action",
            "UPDATE llm_audit_retention_action SET rows = 0",
            "UPDATE llm_audit_retention_action SET finished_at = now()",
        ):
            with (
                pytest.raises(psycopg2.errors.InsufficientPrivilege),
                closing(psycopg2.connect(dsn)) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(statement)
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
        closing(psycopg2.connect(retention)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE llm_audit_legal_hold SET user_id = 'another'")


def run(dsn: str, *arguments: str) -> Any:
    name, *rest = arguments
    done = CliRunner().invoke(command, [name, *rest, "--dsn", dsn])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_command(filled: Log, new_login: Logins) -> None:
    retention = new_login(filled.dsn, "llm_audit_retention")
    (rows,) = filled.query("SELECT count(*) FROM llm_audit_log WHERE user_id = 'user-1'")[0]
    asked = ("add", "--user", "user-1", "--reason", "case 4711", "--by", "Grace", "--json")
    assert json.loads(run(retention, *asked, "--dry-run").stdout) == {"hold_id": None, "rows": rows}
    hold = json.loads(run(retention, *asked).stdout)["hold_id"]
    (listed,) = json.loads(run(new_login(filled.dsn, "llm_audit_auditor"), "list", "--json").stdout)
    assert (listed["hold_id"], listed["placed_by"], listed["user_id"]) == (hold, "Grace", "user-1")
    assert listed["database_role"].startswith("login_")
    run(retention, "release", hold, "--reason", "closed", "--by", "Ada")
    assert run(retention, "list").stdout == "There are no holds.\n"
    (listed,) = json.loads(run(retention, "list", "--all", "--json").stdout)
    assert (listed["released_by"], listed["release_reason"]) == ("Ada", "closed")
    assert "case 4711" in run(retention, "list", "--all").stdout
    with pytest.raises(ConfigurationError, match="was released at"):
        run(retention, "release", hold, "--reason", "again")
    with pytest.raises(ConfigurationError, match="is not known"):
        run(retention, "release", str(uuid.uuid4()), "--reason", "x")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--reason", "x"], "conditions, or --everything"),
        (["--reason", "x", "--everything", "--user", "ada"], "conditions, or --everything"),
        (["--reason", " ", "--user", "ada"], "needs a reason"),
        (["--reason", "x", "--user", "ada", "--by", ""], "needs a name"),
        (["--reason", "x", "--from-id", "2" * 32, "--to-id", "1" * 32], "runs backwards"),
    ],
)
def test_what_says_too_little_is_refused(arguments: list[str], said: str, database: Database) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run(database.dsn, "add", *arguments)


def test_who_may_not_is_told_who_may(filled: Log, new_login: Logins) -> None:
    for role in ("llm_audit_writer", "llm_audit_auditor"):
        with pytest.raises(ConfigurationError, match="permission denied") as caught:
            run(new_login(filled.dsn, role), "add", "--everything", "--reason", "x")
        assert "llm_audit_retention" in caught.value.hint


def test_rows_are_deleted_around_a_held_one(filled: Log, policies: Policies) -> None:
    """A month of which one row is held goes row by row, in bounded steps."""
    (kept,) = filled.query("SELECT min(request_id::text) FROM llm_audit_log")[0]
    holds.place(filled.dsn, Scope(first_request_id=uuid.UUID(kept), last_request_id=uuid.UUID(kept)), **WHO)
    assert filled.apply(policies, AFTER).rows[DELETE_ROWS] >= 11
    assert filled.query(f"SELECT request_id::text FROM llm_audit_log_{YEAR}_01") == [(kept,)]
