"""A question about some days reads those days' partition, and within it by the key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import psycopg2
import pytest

from tests.parts.databases import Database
from tests.reports.trail import call, write


@pytest.mark.parametrize("name", ["cost", "anomalies", "errors", "usage"])
def test_a_report_on_three_days_reads_one_partition(name: str, database: Database) -> None:
    now = datetime.now(UTC)
    write(database.dsn, [call(1)])
    since = now.replace(day=10, hour=0, minute=0, second=0, microsecond=0)
    parameters: dict[str, Any] = {
        "since": since,
        "until": since + timedelta(days=3),
        "user_id": None,
        "model": None,
        "limit": 10,
        "threshold": 5.0,
        "minimum_days": 5,
    }
    sql = resources.files("llm_audit_consumer.reports").joinpath(f"{name}.sql").read_text()
    connection = psycopg2.connect(database.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("EXPLAIN (FORMAT JSON) " + sql, parameters)
            (plan,) = cursor.fetchone() or ("",)
    finally:
        connection.close()
    assert partitions_in(json.dumps(plan)) == {f"llm_audit_log_{since:%Y_%m}"}


def partitions_in(plan: str) -> set[str]:
    found: set[str] = set()
    for node in json.loads(plan):
        collect(node["Plan"], found)
    return found


def collect(node: dict[str, Any], found: set[str]) -> None:
    if "Relation Name" in node:
        found.add(node["Relation Name"])
    for child in node.get("Plans", []):
        collect(child, found)
