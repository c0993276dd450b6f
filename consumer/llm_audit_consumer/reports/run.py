"""Asks the database a report's question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from llm_audit_consumer.errors import ConfigurationError, DatabaseUnavailableError, RetryableStoreError
from llm_audit_consumer.store.postgres import Database

Row = Mapping[str, Any]

_ANOMALIES = ("user_id", "day", "calls", "tokens", "usual_tokens", "days", "deviations", "verdict")

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "cost": (
        "user_id",
        "model",
        "calls",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_usd",
        "unpriced_calls",
        "unpriced_reasons",
    ),
    "anomalies": _ANOMALIES,
    "anomalies_plain": _ANOMALIES,
    "errors": ("model", "calls", "errors", "error_rate", "aborted", "blocked", "error_types"),
    "usage": (
        "day",
        "calls",
        "users",
        "input_tokens",
        "output_tokens",
        "of_which_thinking",
        "cache_read_tokens",
        "cache_write_tokens",
        "calls_without_tokens",
        "cost_usd",
        "unpriced_calls",
    ),
}
"""Every report and its columns, in order."""

SPARE_COLUMNS = ("of_which_thinking", "cache_write_tokens", "cache_read_tokens", "unpriced_reasons")
"""Columns that a narrow terminal can do without, the least needed first."""

MINIMUM_DAYS = 5
HISTORY_DAYS = 30
THRESHOLDS: Mapping[str, float] = {"anomalies": 5.0, "anomalies_plain": 3.0}


def rows(connection_or_dsn: Database | str, name: str, parameters: Mapping[str, object]) -> Iterator[Row]:
    """The answer to a report, row by row, of any size.

    Args:
        connection_or_dsn: PostgreSQL connection string, or a connection, which stays open.
        name: The report, one of :data:`COLUMNS`.
        parameters: ``since`` and ``until``, aware moments that count in whole milliseconds, the latter not included.
            May hold ``user_id``, ``model`` and ``limit`` (``None``, the default, leaves each open); for the anomalies
            ``threshold`` in deviations; for the robust ones ``minimum_days`` and ``history_days`` too.

    Raises:
        ConfigurationError: the report or a parameter is not what it must be, or the role may not read the table.
        DatabaseUnavailableError: the database does not answer.
        SchemaMismatchError: its tables are not what the migrations make.
    """
    if name not in COLUMNS:
        raise ConfigurationError(f"there is no report {name!r}", f"ask for one of {', '.join(COLUMNS)}")
    asked = _checked(
        {
            "user_id": None,
            "model": None,
            "limit": None,
            "threshold": THRESHOLDS.get(name),
            "minimum_days": MINIMUM_DAYS,
            "history_days": HISTORY_DAYS,
            **parameters,
        }
    )
    if isinstance(connection_or_dsn, Database):
        yield from _stream(connection_or_dsn, name, asked)
        return
    with closing(Database(connection_or_dsn, application_name="llm-audit-report")) as database:
        yield from _stream(database, name, asked)


def _stream(database: Database, name: str, asked: Mapping[str, object]) -> Iterator[Row]:
    try:
        yield from database.stream(_sql(name), asked)
    except RetryableStoreError as error:  # its hint is the daemon's: nobody tries a report again by itself
        raise DatabaseUnavailableError(str(error), "ask again") from error
    except ConfigurationError as error:
        raise ConfigurationError(str(error), "connect as a role that may read llm_audit_log") from error


def _checked(asked: Mapping[str, object]) -> Mapping[str, object]:
    """The parameters, once they are such that PostgreSQL reads them as they are meant."""
    for name in ("since", "until"):
        moment = asked.get(name)
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise ConfigurationError(f"{name} {moment!r} is no moment", "give a datetime with a timezone")
    for name, value in asked.items():
        if isinstance(value, str) and not _storable(value):
            raise ConfigurationError(
                f"{name} {value!r} holds what no stored text can hold", "write it in UTF-8, without NUL"
            )
    return asked


def _storable(text: str) -> bool:
    """Whether PostgreSQL could hold the text: no NUL, no halves of surrogate pairs (as bad bytes in a flag become)."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@cache
def _sql(name: str) -> str:
    return resources.files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
