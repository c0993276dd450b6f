"""Migrations: SQL files applied in order, once, under an advisory lock.

Our own, at some hundred lines, because what is needed is small and exact: plain SQL files inside the package, one
transaction each, an advisory lock that several starting consumers queue on, and a checksum that notices a file changed
after it was applied. The alternatives bring an ORM with them (Alembic) or lock with a table row that a crash
leaves behind (yoyo).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

from llm_audit_consumer.errors import ConfigurationError, SchemaMismatchError
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement

_OWNER_HINT = (
    "run llm-audit migrate as the database's owner with CREATEROLE, or as a member of llm_audit_owner; "
    "a daemon that must not: --no-migrate"
)
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the tables' history.

    Attributes:
        version: Its place in the order, from 1.
        name: What it is about.
        sql: Its statements.
    """

    version: int
    name: str
    sql: str = field(repr=False)

    @property
    def sha256(self) -> str:
        """Checksum of the statements, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped() -> list[Migration]:
    """The migrations of this release, in order."""
    found = [
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in resources.files(__package__).joinpath("migrations").iterdir()
        if (match := _FILE.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.version)


def pending(dsn: str, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations that have yet to be applied; changes nothing.

    Raises:
        SchemaMismatchError: an applied migration was changed since, or is newer than this release.
        DatabaseUnavailableError: the database does not answer.
    """
    database = Database(dsn, application_name="llm-audit-migrate")
    try:
        with database.transaction():
            return _pending(database, shipped() if migrations is None else migrations)
    finally:
        database.close()


def migrate(dsn: str, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is pending, each migration in a transaction of its own; returns what was applied.

    May be called by several processes at once: they take turns, and the later ones find nothing to do.

    Raises:
        SchemaMismatchError: an applied migration was changed since, or is newer than this release.
        ConfigurationError: something is pending that the role in ``dsn`` may not do.
        DatabaseUnavailableError: the database does not answer.
    """
    database = Database(dsn, application_name="llm-audit-migrate")
    known = shipped() if migrations is None else migrations
    applied: list[Migration] = []
    try:
        while (migration := _apply_next(database, known)) is not None:
            applied.append(migration)
        return applied
    except ConfigurationError as error:
        raise ConfigurationError(str(error), _OWNER_HINT) from None
    finally:
        database.close()


def _apply_next(database: Database, known: Sequence[Migration]) -> Migration | None:
    """Apply the first that is pending, in one transaction with its lock; ``None`` where there is none.

    The lock is the transaction's: a session's would stay with the connection of a pooler, and be waited for ever after.
    """
    with database.transaction():
        database.rows(statement("lock_migrations"))
        waiting = _pending(database, known)
        if not waiting:
            return None
        migration = waiting[0]
        database.rows(statement("become_owner"))
        if not database.rows(statement("migration_table_exists"))[0]["exists"]:
            database.execute(statement("make_migration_table"))
        database.execute(migration.sql)
        database.execute(
            statement("record_migration"),
            {"version": migration.version, "name": migration.name, "sha256": migration.sha256},
        )
        return migration


def _pending(database: Database, migrations: Sequence[Migration]) -> list[Migration]:
    if not database.rows(statement("migration_table_exists"))[0]["exists"]:
        return list(migrations)
    applied = {row["version"]: row for row in database.rows(statement("applied_migrations"))}
    known = {migration.version: migration for migration in migrations}
    for version, row in applied.items():
        if version not in known:
            raise SchemaMismatchError(
                f"the database has migration {version} ({row['name']}), which this release does not know",
                "upgrade llm-audit-log to the release that made it",
            )
        if known[version].sha256 != row["sha256"]:
            raise SchemaMismatchError(
                f"migration {version} ({row['name']}) was changed after it was applied to this database",
                "restore the released file; changes to the tables go into a new migration",
            )
    return [migration for migration in migrations if migration.version not in applied]
