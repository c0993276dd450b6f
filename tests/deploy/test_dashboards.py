"""The dashboards are what their code makes, and every question of the explorer is answered by PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.grafana import generate
from tests.consumer.tables import Tables
from tests.deploy.expressions import panels, targets
from tests.parts.databases import Database
from tests.reports.trail import call_at, cost, write

NOW = datetime.now(UTC)
HOSTILE = "o'brien'); DROP TABLE llm_audit_log; --"
CHOICES = {"user": "", "model": "", "status": "", "request_id": ""}


def test_the_dashboards_are_what_their_code_makes() -> None:
    for name, content in generate.dashboards().items():
        assert (generate.FOLDER / name).read_text() == content, "run: python -m deploy.grafana.generate"
    assert {file.name for file in generate.FOLDER.iterdir()} == set(generate.dashboards())


def test_each_panel_says_what_it_shows_and_asks_something() -> None:
    for where, panel in panels():
        if panel["type"] != "row":
            assert panel["description"], where
            assert panel["targets"], where
            assert panel["datasource"]["uid"] in {"${prometheus}", "${postgresql}"}, where


def as_grafana_sends_it(sql: str, **choices: str) -> str:
    """The macros and variables of the PostgreSQL data source, as it writes them out."""
    since, until = (f"'{NOW.replace(hour=hour):%Y-%m-%dT%H:%M:%SZ}'" for hour in (0, 23))
    sql = sql.replace("$__timeFrom()", since).replace("$__timeTo()", until)
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {since} AND {until}", sql)
    for name, value in {**CHOICES, **choices}.items():
        sql = sql.replace(f"${{{name}:sqlstring}}", "'" + value.replace("'", "''") + "'")
    assert "$" not in sql, sql
    return sql


@pytest.fixture
def tables(database: Database) -> Tables:
    at = NOW.replace(hour=12)
    write(
        database.dsn,
        [
            call_at(at, user_id="ada", cost_usd=cost("1.5"), metadata={"ticket": 7}),
            call_at(at, user_id="ada", status="error", error_type="overloaded_error", model="claude-opus-5"),
            call_at(at, user_id=HOSTILE, status="blocked", model=None),
        ],
    )
    tables = Tables(database.dsn)
    tables.query(
        'INSERT INTO llm_audit_dead_letter (topic_id, partition, "offset", topic, consumer_group, reason, detail,'
        " message_timestamp, first_seen_at, value) VALUES ('i', 0, 7, 't', 'g', 'not_framed', 'd', %s, %s, 'xyz')",
        at,
        at,
    )
    return tables


def questions() -> dict[str, str]:
    return {where: target["rawSql"] for where, target in targets("grafana-postgresql-datasource")}


def ask(tables: Tables, panel: str, **choices: str) -> list[tuple[Any, ...]]:
    sql = as_grafana_sends_it(questions()[f"explorer: {panel}"], **choices)
    return tables.query(f"SET ROLE llm_audit_auditor; {sql}")  # as which Grafana should come


def test_every_question_is_answered(tables: Tables) -> None:
    some_id = str(ask(tables, "Calls")[0][-1])
    for panel in questions():
        assert ask(tables, panel.removeprefix("explorer: "), request_id=some_id), panel


def test_a_choice_narrows_the_calls(tables: Tables) -> None:
    assert len(ask(tables, "Calls")) == 3
    assert len(ask(tables, "Calls", user="ada")) == 2
    assert len(ask(tables, "Calls", user="ada", status="error")) == 1
    assert len(ask(tables, "Calls", model="claude-opus-5")) == 1
    assert len(ask(tables, "Calls", user=HOSTILE)) == 1
    assert ask(tables, "Calls", user="nobody") == []


def test_one_entry_is_shown_field_by_field(tables: Tables) -> None:
    some_id = str(ask(tables, "Calls", user="ada", status="success")[0][-1])
    entry = dict(ask(tables, "Entry", request_id=some_id))
    assert entry["request_id"] == some_id
    assert entry["cost_usd"] == "1.500000000000"
    assert entry["metadata"] == '{"ticket": 7}'
    assert "error_type" not in entry, "what is not there has no line"
    assert ask(tables, "Entry", request_id="no such thing") == []
    assert ask(tables, "Entry") == []


def test_the_sums_are_right(tables: Tables) -> None:
    users = {row[0]: row[1:] for row in ask(tables, "By user")}
    assert users["ada"] == (2, None, None, cost("1.5"), 1)
    models = {row[0]: row[1:] for row in ask(tables, "By model")}
    assert models["claude-opus-5"] == (1, 1, 0, 0, 1)
    assert models["(unknown)"] == (1, 0, 0, 1, None)
