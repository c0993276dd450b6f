"""Legal holds: placed, listed and released, never deleted. What is under one neither expires nor can be erased."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.retention.sql import statement
from llm_audit_consumer.store.postgres import Database

_HINT = "connect as a member of llm_audit_retention (to list: llm_audit_auditor)"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a hold is on. Every condition given must hold of a row; none at all means everything.

    Attributes:
        user_id: Only this user's entries.
        tenant: Only this tenant's.
        first_request_id: Only entries from this one on; ids are in order of time.
        last_request_id: Only entries up to and including this one.
    """

    user_id: str | None = None
    tenant: str | None = None
    first_request_id: uuid.UUID | None = None
    last_request_id: uuid.UUID | None = None

    @property
    def everything(self) -> bool:
        """Whether it is on every entry."""
        return not any(value is not None for value in asdict(self).values())

    def parameters(self) -> dict[str, object]:
        """As the queries take it."""
        return {name: None if value is None else str(value) for name, value in asdict(self).items()}


def place(dsn: str, scope: Scope, *, placed_by: str, reason: str) -> uuid.UUID:
    """Place a hold; when this returns, no transaction of retention is under way that does not know it.

    Args:
        dsn: PostgreSQL connection string of a member of ``llm_audit_retention``.
        scope: What it is on.
        placed_by: Who wants it; recorded beside the role of the database.
        reason: Why; recorded.

    Raises:
        ConfigurationError: no reason or no name, a range that runs backwards, or a role that may not.
        DatabaseUnavailableError: the database does not answer.
    """
    _required("reason", reason)
    _required("name of who places it", placed_by)
    first, last = scope.first_request_id, scope.last_request_id
    if first is not None and last is not None and first > last:
        raise ConfigurationError(f"the range from {first} to {last} runs backwards", "swap the two ids")
    hold_id = uuid.uuid4()
    row = {
        "hold_id": str(hold_id),
        "placed_by": placed_by,
        "reason": reason,
        "everything": scope.everything,
        **scope.parameters(),
    }
    with _database(dsn) as database, database.transaction():
        database.execute(statement("place_hold"), row)
    return hold_id


def release(dsn: str, hold_id: uuid.UUID, *, released_by: str, reason: str) -> None:
    """Release a hold; its record stays.

    Raises:
        ConfigurationError: there is no such hold, it was released before, or the role may not.
        DatabaseUnavailableError: the database does not answer.
    """
    _required("reason", reason)
    _required("name of who releases it", released_by)
    row = {"hold_id": str(hold_id), "released_by": released_by, "release_reason": reason}
    with _database(dsn) as database, database.transaction():
        if database.execute(statement("release_hold"), row) == 1:
            return
        found = database.rows(statement("hold"), row)
    what = f"was released at {found[0]['released_at']:%Y-%m-%d %H:%M}" if found else "is not known"
    raise ConfigurationError(f"the hold {hold_id} {what}", "llm-audit hold list --all shows every hold")


def listed(dsn: str, *, released_too: bool = False) -> list[dict[str, Any]]:
    """The holds, oldest first, each as column to value.

    Raises:
        ConfigurationError: the role may not read them.
        DatabaseUnavailableError: the database does not answer.
    """
    with _database(dsn) as database, database.transaction():
        return database.rows(statement("holds"), {"released_too": released_too})


def rows_held(dsn: str, scope: Scope) -> int:
    """How many rows a scope covers now.

    Raises:
        ConfigurationError: the role may not read the log.
        DatabaseUnavailableError: the database does not answer.
    """
    with _database(dsn) as database, database.transaction():
        return int(database.rows(statement("held_rows"), scope.parameters())[0]["rows"])


def _required(what: str, text: str) -> None:
    if not text.strip():
        raise ConfigurationError(f"a hold needs a {what}", "say it: it is what an auditor will read")


@contextmanager
def _database(dsn: str) -> Iterator[Database]:
    with closing(Database(dsn, application_name="llm-audit-hold")) as database:
        try:
            yield database
        except ConfigurationError as error:
            raise ConfigurationError(str(error), _HINT) from None
