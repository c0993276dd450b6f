"""Lets dead letters expire: they may hold personal data, and are kept no longer than they are of use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from llm_audit_consumer.dead_letters.reading import counts
from llm_audit_consumer.dead_letters.selection import Selection
from llm_audit_consumer.dead_letters.sql import statement
from llm_audit_consumer.store.postgres import Database

DEFAULT_DAYS = 90.0
"""Days that a dead letter is kept when nobody says otherwise."""

DAYS_VARIABLE = "LLM_AUDIT_DEAD_LETTER_DAYS"
"""Environment variable of those days."""

_AT_A_TIME = 5000


def expired(selection: Selection, older_than: timedelta, now: datetime) -> Selection:
    """Those of the chosen that have been kept for longer than ``older_than``."""
    limit = now - older_than
    return replace(selection, until=limit if selection.until is None else min(limit, selection.until))


def count(database: Database, selection: Selection) -> int:
    """How many there are of the chosen."""
    return sum(row["messages"] for row in counts(database, selection))


def purge(
    database: Database, selection: Selection, progress: Callable[[int], None] = lambda _gone: None
) -> int:
    """Delete the chosen for good; returns how many. The login needs the rights of ``llm_audit_retention``.

    Works in short transactions, so that it may run beside the consumer, and may be run again after an error. To let
    dead letters expire by themselves, call it now and then with :func:`expired`.

    Raises:
        ConfigurationError: the role may not delete dead letters.
        DatabaseUnavailableError: the database went away; what was deleted before stays deleted.
    """
    gone = 0
    while True:
        with database.transaction():
            database.execute(statement("lock"))
            deleted = database.execute(statement("purge"), {**selection.parameters(), "limit": _AT_A_TIME})
        gone += deleted
        if deleted == 0:
            return gone
        progress(gone)
