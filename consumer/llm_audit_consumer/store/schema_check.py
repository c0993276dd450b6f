"""Whether the tables are what the migrations make: someone may have altered them."""

from __future__ import annotations

import re

from llm_audit_consumer.errors import SchemaMismatchError
from llm_audit_consumer.store.migrations_runner import shipped
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement

_HINT = "run: llm-audit migrate; if it finds nothing to do, someone altered the table: put back what is named here"
_KEYS = {
    "llm_audit_log": ["request_id"],
    "llm_audit_offset": ["consumer_group", "topic_id", "partition"],
    "llm_audit_dead_letter": ["topic_id", "partition", "offset"],
    "llm_audit_producer": ["producer_id"],
    "llm_audit_progress": ["consumer_group", "topic_id", "partition"],
    "llm_audit_content": ["request_id", "part"],
    "llm_audit_content_access": ["access_id"],
    "llm_audit_erasure": ["erasure_id"],
    "llm_audit_legal_hold": ["hold_id"],
    "llm_audit_retention_action": ["action_id"],
}


_TABLE = re.compile(r"CREATE TABLE (\w+) \((.*?)\n\)", re.DOTALL)
_COLUMN = re.compile(r'^    "?([a-z_0-9]+)"?\s+([a-z][a-z0-9]*(?:\(\d+, \d+\))?(?:\[\])?)', re.MULTILINE)
_FULL_NAMES = {"timestamptz": "timestamp with time zone", "numeric(24, 12)": "numeric(24,12)"}


def verify_tables(database: Database) -> None:
    """Check the columns, types and primary keys that writing depends on; further columns do no harm.

    Raises:
        SchemaMismatchError: names the table and the column.
    """
    for table, expected in _expected_columns().items():
        _verify_columns(database, table, expected)
        key = [row["column_name"] for row in database.rows(statement("primary_key"), {"table": table})]
        if sorted(key) != sorted(_KEYS[table]):
            raise SchemaMismatchError(
                f"table {table} has the primary key ({', '.join(key)}), it must be ({', '.join(_KEYS[table])})",
                _HINT,
            )


def _verify_columns(database: Database, table: str, expected: dict[str, str]) -> None:
    found = {
        row["column_name"]: row["column_type"]
        for row in database.rows(statement("table_columns"), {"table": table})
    }
    if not found:
        raise SchemaMismatchError(f"table {table} is missing", "make the tables with: llm-audit migrate")
    for column, kind in expected.items():
        if column not in found:
            raise SchemaMismatchError(f"table {table} lacks the column {column}", _HINT)
        if found[column] != kind:
            raise SchemaMismatchError(
                f"column {column} of table {table} is {found[column]}, it must be {kind}", _HINT
            )


def _expected_columns() -> dict[str, dict[str, str]]:
    """Table to column to type, as the migrations say it: there is no second list to keep in step."""
    expected: dict[str, dict[str, str]] = {}
    for migration in shipped():
        for table, body in _TABLE.findall(migration.sql):
            expected[table] = {column: _FULL_NAMES.get(kind, kind) for column, kind in _COLUMN.findall(body)}
    return expected
