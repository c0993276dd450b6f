"""Table, JSON and CSV: exact, in step with each other, and harmless whatever a stored text holds."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest
from rich.console import Console

from llm_audit_consumer.reports import run, show
from tests.parts.databases import Database
from tests.reports.trail import call, cost, report, rows, write

REPORTS = ("cost", "anomalies", "errors", "usage")

HOSTILE = "=cmd|'/c calc'!A0 [red]:warning:[/] \x1b[31m\u0007\u009b2J\u202e\u200b\r\n, \"quoted\"\\"
SHOWN = "=cmd|'/c calc'!A0 [red]:warning:[/] \\x1b[31m\\x07\\x9b2J\\u202e\\u200b\\r\\n, \"quoted\"\\"


@pytest.mark.parametrize("name", [*REPORTS, "anomalies_plain"])
def test_an_empty_trail_is_said_and_no_error(name: str, database: Database) -> None:
    write(database.dsn, [])
    name, *plain = name.split("_")
    options = [f"--{option}" for option in plain]
    assert rows(database, name, *options) == []
    assert "Nothing to report from 2026-11-01 00:00 to" in report(database, name, *options).stdout
    (heading,) = csv.reader(io.StringIO(report(database, name, "--csv", *options).stdout))
    assert tuple(heading) == run.COLUMNS[name]


@pytest.mark.parametrize("name", REPORTS)
def test_csv_json_and_columns_agree(name: str, database: Database) -> None:
    write(database.dsn, [call(2, status="error", input_tokens=7), call(3, cost_usd=cost("0.000000000001"))])
    from_json = rows(database, name)
    from_csv = list(csv.DictReader(io.StringIO(report(database, name, "--csv").stdout)))
    assert len(from_csv) == len(from_json) > 0
    for as_csv, as_json in zip(from_csv, from_json, strict=True):
        assert tuple(as_json) == tuple(as_csv) == run.COLUMNS[name]
        assert as_csv == {column: show.plain(value) for column, value in as_json.items()}


def test_the_table_names_its_period_and_keeps_its_numbers_whole(database: Database) -> None:
    write(
        database.dsn, [call(3, user_id="a" * 200, input_tokens=123_456_789, cost_usd=cost("12.000000000345"))]
    )
    said = report(database, "cost").stdout
    assert said.startswith("2026-11-01 00:00 to 2026-12-01 00:00 UTC")
    assert "123456789 " in said
    assert "12.000000000345 " in said
    assert said.count("a") > 200


@pytest.mark.parametrize(("width", "left_out"), [(200, 0), (110, 0), (86, 2), (80, 3)])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(width: int, left_out: int) -> None:
    counts: dict[str, object] = dict.fromkeys(run.COLUMNS["usage"], 123_456)
    row = {**counts, "day": date(2026, 11, 3), "cost_usd": Decimal("0.1799446")}
    console = Console(file=io.StringIO(), width=width)
    made, missing = show.fitting(console, run.COLUMNS["usage"], [row], run.SPARE_COLUMNS, title="period")
    assert tuple(missing) == run.SPARE_COLUMNS[:left_out]
    with console.capture() as captured:
        console.print(made)
    assert captured.get().count("123456") == 9 - left_out
    assert "2026-11-03" in captured.get()
    assert "…" not in captured.get()


def test_a_number_without_room_is_cut_with_a_sign_that_it_was() -> None:
    console = Console(file=io.StringIO(), width=10)
    with console.capture() as captured:
        console.print(show.table(["calls"], [{"calls": 123_456_789_012}]))
    (line,) = (line for line in captured.get().splitlines() if any(each.isdigit() for each in line))
    assert line.strip().endswith("…")


def test_stored_text_in_a_table(database: Database) -> None:
    write(database.dsn, [call(5, user_id=HOSTILE, model=HOSTILE, status="error", error_type=HOSTILE)])
    for name in ("cost", "errors", "anomalies"):
        said = report(database, name).stdout
        assert "=cmd" in said
        assert all(each.isprintable() for each in said.replace("\n", ""))


def test_stored_text_stands_in_a_wide_table_as_it_is() -> None:
    row = {"user_id": HOSTILE, "error_types": {HOSTILE: 2}}
    console = Console(file=io.StringIO(), width=400, force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(show.table(["user_id", "error_types"], [row], title="[red]:warning:"))
    said = captured.get()
    assert said.count(SHOWN) == 2
    assert f"{SHOWN} 2" in said
    assert "[red]:warning:" in said.splitlines()[0]


def test_stored_text_in_json_is_exact_and_ascii(database: Database) -> None:
    write(database.dsn, [call(5, user_id=HOSTILE, status="error", error_type=HOSTILE)])
    said = report(database, "cost", "--json").stdout
    assert said.replace("\n", "").isascii()
    assert said.replace("\n", "").isprintable()
    assert json.loads(said)[0]["user_id"] == HOSTILE
    assert rows(database, "errors")[0]["error_types"] == {HOSTILE: 1}
    assert rows(database, "cost", "--user", HOSTILE)[0]["calls"] == 1


def test_stored_text_in_csv_is_no_formula_and_no_escape(database: Database) -> None:
    write(database.dsn, [call(5, user_id=HOSTILE, status="error", error_type=HOSTILE)])
    said = report(database, "cost", "--csv").stdout
    assert len(said.splitlines()) == 2
    _heading, row = csv.reader(io.StringIO(said))
    assert row[0] == f"'{SHOWN}"
    _heading, row = csv.reader(io.StringIO(report(database, "errors", "--csv").stdout))
    assert row[-1] == f"'{SHOWN} 1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "＝", "＋", "－", "＠", " =", "  @"])  # noqa: RUF001 - full-width is meant
def test_what_a_spreadsheet_would_run_gets_a_quote(start: str) -> None:
    written = io.StringIO()
    show.write_csv(["text", "number"], [{"text": f"{start}1+1", "number": Decimal(-5)}], written)
    _heading, (text, number) = csv.reader(io.StringIO(written.getvalue()))
    assert text == f"'{start}1+1"
    assert number == "-5"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            Decimal("123456789012345678901234567890.123456789012"),
            "123456789012345678901234567890.123456789012",
        ),
        (Decimal("0E-12"), "0"),
        (Decimal("100"), "100"),
        (Decimal("1.500"), "1.5"),
        (None, ""),
        (0, "0"),
        ({"a": 1, "b": 2}, "a 1, b 2"),
    ],
)
def test_a_value_as_text(value: object, shown: str) -> None:
    assert show.plain(value) == shown
