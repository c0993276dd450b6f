"""Flags, limits, exit codes, and the same questions asked from Python."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.report import command
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import run
from llm_audit_consumer.store.postgres import Database as Connection
from tests.parts.databases import Database
from tests.reports.trail import call, report, rows, write

NOVEMBER: dict[str, Any] = {
    "since": datetime(2026, 11, 1, tzinfo=UTC),
    "until": datetime(2026, 12, 1, tzinfo=UTC),
}


def exit_of(*arguments: str | bytes) -> tuple[int, str]:
    """The exit code of `llm-audit report ...`, and what it says on standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "llm_audit_consumer.cli", "report", *arguments],
        check=False,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, done.stderr.decode()


def test_exit_codes_name_the_cause_and_the_mend(database: Database) -> None:
    code, said = exit_of("cost", "--dsn", database.dsn)
    assert (code, "llm-audit migrate" in said) == (5, True)
    write(database.dsn, [])
    assert exit_of("cost", "--dsn", database.dsn) == (0, "")
    code, said = exit_of("cost", "--dsn", database.dsn, "--since", "whenever")
    assert (code, "last 24h" in said) == (2, True)
    code, said = exit_of("cost", "--dsn", database.dsn, "--user", b"\xff")
    assert (code, "UTF-8" in said) == (2, True)
    code, said = exit_of("cost", "--dsn", "postgresql://nobody:hidden-word@127.0.0.1:1/nowhere")
    assert (code, "cannot be reached" in said, "hidden-word" in said) == (3, True, False)
    assert exit_of("cost", "--dsn", database.dsn, "--limit", "0")[0] == 2


def test_a_time_range_that_runs_backwards_is_refused(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="is not before"):
        report(database, "cost", time=["--since", "2026-12-01", "--until", "2026-11-01"])


def test_a_table_says_when_there_is_more_and_an_export_is_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_audit_consumer.cli.report._TABLE_ROWS", 3)
    write(database.dsn, [call(5, user_id=f"user-{number}") for number in range(4)])
    whole = report(database, "cost")
    assert whole.stdout.count("user-") == 3
    assert "Only the first 3 rows" in whole.stderr
    assert "Only the first" not in report(database, "cost", "--limit", "4").stderr
    assert len(rows(database, "cost")) == 4
    assert len(report(database, "cost", "--csv").stdout.splitlines()) == 5
    assert len(rows(database, "cost", "--limit", "2")) == 2


@pytest.mark.parametrize("name", ["cost", "anomalies", "errors", "usage"])
def test_every_help_has_an_example(name: str) -> None:
    said = CliRunner().invoke(command, [name, "--help"])
    assert said.exit_code == 0
    assert f"llm-audit report {name} --" in said.stdout


def test_asked_from_python_over_a_connection_that_stays_open(database: Database) -> None:
    write(database.dsn, [call(5)])
    with closing(Connection(database.dsn, application_name="test")) as connection:
        for name in run.COLUMNS:
            assert len(list(run.rows(connection, name, NOVEMBER))) == (name != "anomalies_plain")
        assert connection.usable
    assert [row["user_id"] for row in run.rows(database.dsn, "cost", NOVEMBER)] == ["ada"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("../store/queries/ping", {}),
        ("cost", {"since": datetime(2026, 11, 1)}),  # noqa: DTZ001 - a naive one is what is refused
        ("cost", {"until": None}),
        ("cost", {"user_id": "a\x00b"}),
        ("cost", {"model": "\udcff"}),
    ],
)
def test_what_cannot_be_asked_is_refused(name: str, changes: dict[str, Any], database: Database) -> None:
    with pytest.raises(ConfigurationError) as caught:
        list(run.rows(database.dsn, name, {**NOVEMBER, **changes}))
    assert caught.value.hint
