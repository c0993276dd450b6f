"""The auditor's questions, on known data, through the command itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.parts.databases import Database
from tests.reports.trail import call, call_at, cost, report, rows, write

SPENDING = [
    call(2, input_tokens=100, output_tokens=10, cost_usd=cost("0.100000000001"), cache_write_1h_tokens=7),
    call(3, input_tokens=200, output_tokens=20, cost_usd=cost("0.2"), cache_read_tokens=3),
    call(3, cost_reason="unknown_model", input_tokens=5, cache_write_5m_tokens=1, cache_write_1h_tokens=2),
    call(3, status="aborted", cost_reason="usage_incomplete", input_tokens=40),
    call(4, user_id="bob", model="claude-opus-5", cost_usd=cost("1.5"), thinking_tokens=9),
    call(4, user_id="bob", status="error", error_type="overloaded_error", cost_reason="no_usage"),
    call(30, month=10, cost_usd=cost("77")),
    call(1, month=12, hour=0, cost_usd=cost("88")),
]


def test_cost_is_exact_and_counts_what_has_no_price(database: Database) -> None:
    write(database.dsn, SPENDING)
    assert [tuple(row.values()) for row in rows(database, "cost")] == [
        ("bob", "claude-opus-5", 1, None, None, None, None, "1.5", 0, None),
        (
            *("ada", "claude-sonnet-4-6", 4, 345, 30, 3, 10, "0.300000000001"),
            *(2, {"unknown_model": 1, "usage_incomplete": 1}),
        ),
        ("bob", "claude-sonnet-4-6", 1, None, None, None, None, None, 1, {"no_usage": 1}),
    ]


def test_usage_by_day_counts_what_its_sums_know_nothing_of(database: Database) -> None:
    write(database.dsn, SPENDING)
    assert [tuple(row.values()) for row in rows(database, "usage")] == [
        ("2026-11-04", 2, 1, None, None, 9, None, None, 2, "1.5", 1),
        ("2026-11-03", 3, 1, 245, 20, None, 3, 3, 0, "0.2", 2),
        ("2026-11-02", 1, 1, 100, 10, None, None, 7, 0, "0.100000000001", 0),
    ]


def test_a_cost_that_is_unknown_is_empty_and_not_zero(database: Database) -> None:
    write(database.dsn, [call(3, cost_reason="unknown_model")])
    _heading, row = report(database, "cost", "--csv").stdout.splitlines()
    assert row == "ada,claude-sonnet-4-6,1,,,,,,1,unknown_model 1"


@pytest.mark.parametrize("name", ["cost", "errors", "usage", "anomalies"])
def test_only_one_user_and_only_one_model(name: str, database: Database) -> None:
    write(database.dsn, SPENDING)
    assert sum(row["calls"] for row in rows(database, name)) > 1
    found = rows(database, name, "--user", "bob", "--model", "claude-opus-5")
    assert [row["calls"] for row in found] == [1]
    assert rows(database, name, "--model", "claude-opus") == []


@pytest.mark.parametrize("name", ["cost", "errors", "usage", "anomalies"])
@pytest.mark.parametrize(
    "text", ["ada' OR '1'='1", "'; DROP TABLE llm_audit_log; --", "%(since)s", "a%d%%a", "\\'; --", "NULL"]
)
def test_sql_in_a_flag_is_a_name_nobody_has(name: str, text: str, database: Database) -> None:
    write(database.dsn, [call(2), call(2, user_id=text, model=text)])
    for flag in ("--user", "--model"):
        assert [row["calls"] for row in rows(database, name, flag, text)] == [1]
    assert sum(row["calls"] for row in rows(database, name)) == 2


def test_errors_are_told_from_blocked_and_left_calls(database: Database) -> None:
    write(
        database.dsn,
        [
            *(call(5) for _ in range(6)),
            call(5, status="error", error_type="overloaded_error"),
            call(5, status="error", error_type="overloaded_error"),
            call(5, status="error", error_type="APITimeoutError"),
            call(5, status="blocked", error_type="blocked"),
            call(5, status="blocked", error_type="blocked"),
            call(5, status="aborted", error_type="closed_early"),
            call(5, model=None, status="error"),
            call(5, model="claude-opus-5", status="blocked"),
        ],
    )
    found = rows(database, "errors")
    assert [tuple(row.values()) for row in found] == [
        ("(unknown)", 1, 1, "1", 0, 0, {"(none)": 1}),
        ("claude-sonnet-4-6", 12, 3, "0.3", 1, 2, {"overloaded_error": 2, "APITimeoutError": 1}),
        ("claude-opus-5", 1, 0, None, 0, 1, None),
    ]
    assert list(found[1]["error_types"]) == ["overloaded_error", "APITimeoutError"]  # the commonest first
    assert "overloaded_error 2, APITimeoutError 1" in report(database, "errors", "--csv").stdout


def test_a_range_holds_its_first_millisecond_and_not_its_last(database: Database) -> None:
    times = (
        datetime(2026, 11, 4, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 5, tzinfo=UTC),
        datetime(2026, 11, 5, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 6, tzinfo=UTC),
    )
    write(database.dsn, [call_at(at) for at in times])
    time = ["--since", "2026-11-05", "--until", "2026-11-06"]
    assert [(row["day"], row["calls"]) for row in rows(database, "usage", time=time)] == [("2026-11-05", 2)]


def test_one_row_of_huge_counts_spoils_no_report(database: Database) -> None:
    most = 2**63 - 1
    counts = ("input_tokens", "output_tokens", "cache_read_tokens")
    writes = ("cache_write_5m_tokens", "cache_write_1h_tokens")
    write(database.dsn, [call(5, **dict.fromkeys(counts + writes, most)) for _ in range(2)])
    assert rows(database, "cost")[0]["cache_write_tokens"] == 4 * most
    assert rows(database, "usage")[0]["input_tokens"] == 2 * most
    assert rows(database, "anomalies")[0]["tokens"] == 10 * most
    assert rows(database, "anomalies", "--plain") == []
