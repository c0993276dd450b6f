"""What a question reads of a large trail, planned as it is asked: behind a cursor."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import psycopg2
import pytest

from llm_audit_consumer.reports import run, show
from tests.parts.databases import Database, DatabaseMaker
from tests.parts.servers import PostgresUnderTest
from tests.reports.trail import write_many

DAY_ROWS = 1000


@dataclass
class Reading:
    """What a plan's scans read.

    Attributes:
        tables: Partitions scanned.
        indexes: Indexes they were scanned by.
        rows: Rows fetched from them, whether kept or not.
    """

    tables: set[str]
    indexes: set[str]
    rows: int


@dataclass(frozen=True)
class Trail:
    """50,000 calls over fifty days, 1,000 a day, that begin with last month's first."""

    database: Database
    first_day: datetime

    def a_day(self) -> dict[str, Any]:
        """The parameters of a question about the tenth of them."""
        since = self.first_day + timedelta(days=9)
        return {"since": since, "until": since + timedelta(days=1)}

    @property
    def partition(self) -> str:
        return f"llm_audit_log_{self.first_day:%Y_%m}"


@pytest.fixture(scope="module")
def trail(postgres_server: PostgresUnderTest) -> Iterator[Trail]:
    make = DatabaseMaker(postgres_server)
    last_month = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    found = Trail(make(), last_month.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
    write_many(found.database.dsn, found.first_day)
    yield found
    make.drop_all()


@pytest.mark.parametrize("name", ["cost", "errors", "usage", "anomalies_plain"])
def test_a_report_on_a_day_reads_that_day_by_the_key(name: str, trail: Trail) -> None:
    reading = read_by(trail, name, trail.a_day())
    assert reading == Reading({trail.partition}, {f"{trail.partition}_pkey"}, DAY_ROWS)


def test_anomalies_of_a_day_read_its_history_too(trail: Trail) -> None:
    reading = read_by(trail, "anomalies", {**trail.a_day(), "history_days": 3})
    assert reading == Reading({trail.partition}, {f"{trail.partition}_pkey"}, 4 * DAY_ROWS)


@pytest.mark.parametrize("name", list(run.COLUMNS))
def test_a_report_on_a_user_reads_that_users_rows(name: str, trail: Trail) -> None:
    whole = {"since": trail.first_day, "until": trail.first_day + timedelta(days=50), "history_days": 0}
    reading = read_by(trail, name, {**whole, "user_id": "user-17"})
    assert reading.rows == 2  # one in each month
    assert len(reading.tables) == len(reading.indexes) == 2
    assert all("user_id" in index for index in reading.indexes)


def test_an_answer_of_any_size_is_streamed(trail: Trail) -> None:
    class Counting(io.StringIO):
        lines = 0

        def write(self, text: str, /) -> int:
            self.lines += 1
            return len(text)

    whole = {"since": trail.first_day, "until": trail.first_day + timedelta(days=50)}
    file = Counting()
    list(run.rows(trail.database.dsn, "cost", {**whole, "limit": 1}))  # what is loaded once does not count
    tracemalloc.start()
    try:
        show.write_csv(run.COLUMNS["cost"], run.rows(trail.database.dsn, "cost", whole), file)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert file.lines == 25_001
    assert peak < 2_000_000  # measured: 165 kB; 23 MB where all 25,000 rows are listed first


def read_by(trail: Trail, name: str, parameters: dict[str, Any]) -> Reading:
    """What the report reads; a row read twice counts twice."""
    sql = resources.files("llm_audit_consumer.reports").joinpath(f"{name}.sql").read_text()
    blank = {"user_id": None, "model": None, "limit": None, "threshold": 5.0, "minimum_days": 5}
    with closing(psycopg2.connect(trail.database.dsn)) as connection, connection.cursor() as cursor:
        # A cursor is planned for its first rows, so a plan without one would be another.
        cursor.execute(
            "EXPLAIN (ANALYZE, FORMAT JSON) DECLARE asked NO SCROLL CURSOR FOR " + sql,
            {**blank, "history_days": 30, **parameters},
        )
        (plan,) = cursor.fetchone() or ([],)
    reading = Reading(set(), set(), 0)
    collect(json.loads(json.dumps(plan))[0]["Plan"], reading)
    return reading


def collect(node: dict[str, Any], reading: Reading) -> None:
    if "Relation Name" in node:
        reading.tables.add(node["Relation Name"])
        reading.rows += round(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        )
    if "Index Name" in node:
        reading.indexes.add(node["Index Name"])
    for child in node.get("Plans", []):
        collect(child, reading)
