"""Asks the database a report's question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from llm_audit_consumer.store.postgres import Database

Row = Mapping[str, Any]


def rows(dsn: str, name: str, parameters: Mapping[str, object]) -> Iterator[Row]:
    """The answer to a report, row by row, of any size.

    Args:
        dsn: PostgreSQL connection string.
        name: The report: ``cost``, ``anomalies``, ``anomalies_plain``, ``errors`` or ``usage``.
        parameters: What its SQL names.

    Raises:
        DatabaseUnavailableError: the database does not answer.
        SchemaMismatchError: its tables are not what the migrations make.
    """
    database = Database(dsn, application_name="llm-audit-report")
    try:
        yield from database.stream(_sql(name), parameters)
    finally:
        database.close()


@cache
def _sql(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
