"""The rows a replay made, every column as JSON."""

from __future__ import annotations

import time
from typing import TypeAlias

import psycopg2

Row: TypeAlias = dict[str, object]

_POLL_SECONDS = 0.1


def wait_for_rows(dsn: str, count: int, deadline_seconds: float) -> list[Row]:
    """The table's rows once there are ``count`` of them, or those there are when the deadline passes."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        rows = _rows(dsn)
        if len(rows) >= count or time.monotonic() > deadline:
            return rows
        time.sleep(_POLL_SECONDS)


def _rows(dsn: str) -> list[Row]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_jsonb(entry) FROM llm_audit_log AS entry ORDER BY request_id")
            rows: list[Row] = [row for (row,) in cursor]
    finally:
        connection.close()
    for row in rows:
        metadata = row["metadata"]
        row["recording"] = metadata.get("recording") if isinstance(metadata, dict) else None
    return rows
