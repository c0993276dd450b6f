"""The auditor's questions, on known data, through the command itself."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_audit_consumer.cli.report import command
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_schemas import AuditEntry
from tests.parts.databases import Database
from tests.reports.trail import call, cost, write

NOVEMBER = ["--since", "2026-11-01", "--until", "2026-12-01"]


def report(database: Database, name: str, *options: str, time: Sequence[str] = NOVEMBER) -> Result:
    run = CliRunner().invoke(command, [name, "--dsn", database.dsn, *time, *options])
    if run.exception is not None and not isinstance(run.exception, SystemExit):
        raise run.exception
    return run


def rows(
    database: Database, name: str, *options: str, time: Sequence[str] = NOVEMBER
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(report(database, name, "--json", *options, time=time).stdout)
    return found


SPENDING = [
    call(2, input_tokens=100, output_tokens=10, cost_usd=cost("0.100000000001")),
    call(3, input_tokens=200, output_tokens=20, cost_usd=cost("0.2")),
    call(3, cost_reason="unknown_model", input_tokens=5),
    call(4, user_id="bob", model="claude-opus-5", cost_usd=cost("1.5")),
    call(4, user_id="bob", status="error", error_type="overloaded_error", cost_reason="no_usage"),
    call(30, month=10, cost_usd=cost("77")),
    call(1, month=12, hour=0, cost_usd=cost("88")),
]


def test_cost_is_exact_and_counts_what_has_no_price(database: Database) -> None:
    write(database.dsn, SPENDING)
    found = rows(database, "cost")
    assert [
        (row["user_id"], row["model"], row["calls"], row["unpriced_calls"], row["cost_usd"]) for row in found
    ] == [
        ("bob", "claude-opus-5", 1, 0, "1.5"),
        ("ada", "claude-sonnet-4-6", 3, 1, "0.300000000001"),
        ("bob", "claude-sonnet-4-6", 1, 0, None),
    ]
    assert found[1]["input_tokens"] == "305"


def test_cost_of_one_user_and_one_model(database: Database) -> None:
    write(database.dsn, SPENDING)
    assert [row["model"] for row in rows(database, "cost", "--user", "ada")] == ["claude-sonnet-4-6"]
    assert [row["user_id"] for row in rows(database, "cost", "--model", "claude-opus-5")] == ["bob"]
    assert rows(database, "cost", "--user", "ada' OR '1'='1") == []


def test_errors_are_told_from_blocked_and_left_calls(database: Database) -> None:
    write(
        database.dsn,
        [
            *(call(5) for _ in range(5)),
            call(5, status="error", error_type="overloaded_error"),
            call(5, status="error", error_type="overloaded_error"),
            call(5, status="error", error_type="APITimeoutError"),
            call(5, status="blocked"),
            call(5, status="aborted", error_type="closed_early"),
            call(5, model=None, status="error"),
        ],
    )
    unknown, sonnet = rows(database, "errors")
    assert unknown["model"] == "(unknown)"
    assert unknown["error_rate"] == "1"
    assert unknown["error_types"] == "(none) 1"
    assert (sonnet["calls"], sonnet["errors"], sonnet["error_rate"]) == (10, 3, "0.3")
    assert (sonnet["aborted"], sonnet["blocked"]) == (1, 1)
    assert sonnet["error_types"] == "overloaded_error 2, APITimeoutError 1"


def test_usage_by_day(database: Database) -> None:
    write(database.dsn, SPENDING)
    assert [(row["day"], row["calls"], row["users"]) for row in rows(database, "usage")] == [
        ("2026-11-04", 2, 1),
        ("2026-11-03", 2, 1),
        ("2026-11-02", 1, 1),
    ]


def days_of(user: str, tokens: Sequence[int]) -> list[AuditEntry]:
    return [call(day, user_id=user, input_tokens=count) for day, count in enumerate(tokens, start=1)]


TEN_DAYS = [
    *days_of("spiky", [100, 110, 90, 105, 95, 100, 102, 98, 101, 2000]),
    *days_of("heavy", [90_000, 100_000, 95_000, 105_000, 99_000, 101_000, 98_000, 97_000, 103_000, 100_000]),
    *days_of("even", [100] * 9 + [120]),
    *days_of("new", [10, 9000]),
]


def test_an_anomaly_is_a_day_unlike_the_users_own(database: Database) -> None:
    write(database.dsn, TEN_DAYS)
    found = rows(database, "anomalies")
    assert [(row["user_id"], row["day"], row["verdict"]) for row in found] == [
        ("spiky", "2026-11-10", "anomaly"),
        ("new", "2026-11-02", "too few days"),
    ]
    assert float(found[0]["deviations"]) > 100


def test_the_plain_form_blames_who_is_merely_heavy(database: Database) -> None:
    write(
        database.dsn, [entry for entry in TEN_DAYS if entry.user_id != "heavy"] + days_of("heavy", [100_000])
    )
    assert [row["user_id"] for row in rows(database, "anomalies", "--plain")] == ["heavy"]


@pytest.mark.parametrize("name", ["cost", "anomalies", "errors", "usage"])
def test_an_empty_trail_is_said_and_no_error(name: str, database: Database) -> None:
    write(database.dsn, [])
    assert rows(database, name) == []
    assert "Nothing to report" in report(database, name).stdout
    assert len(report(database, name, "--csv").stdout.splitlines()) == 1


HOSTILE = "=cmd|'/c calc'!A0 [red]\x1b[31m\u0007, \"quoted\""


def test_stored_text_is_shown_harmlessly(database: Database) -> None:
    write(database.dsn, [call(5, user_id=HOSTILE, cost_usd=cost("1"))])
    assert rows(database, "cost")[0]["user_id"] == HOSTILE
    table = report(database, "cost").stdout
    assert "[red]" in table
    assert "\x1b" not in table
    assert "\x07" not in table
    _heading, row = csv.reader(io.StringIO(report(database, "cost", "--csv").stdout))
    assert row[0] == f"'{HOSTILE}"


def test_a_time_range_that_runs_backwards_is_refused(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="is not before"):
        report(database, "cost", time=["--since", "2026-12-01", "--until", "2026-11-01"])
