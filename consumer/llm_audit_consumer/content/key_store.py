"""Opens the key store, and the one in PostgreSQL: a database of its own, with short-lived backups of its own.

Where the keys lie decides what an erasure is worth: a backup that holds both a user's content and that user's key
brings both back. So the store is a second database, or a file; the audit database itself is for development alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from llm_audit_consumer.content.key_store_sqlite import SqliteKeyStore
from llm_audit_consumer.content.keys import (
    KEY_BYTES,
    SECRET_BYTES,
    Digests,
    KeyStore,
    Subject,
    SubjectKeys,
    UserKey,
)
from llm_audit_consumer.content.sql import statement
from llm_audit_consumer.errors import ConfigurationError, RetryableStoreError
from llm_audit_consumer.store.postgres import Database, Parameters

SAME_DATABASE = "same-database"
"""What ``LLM_AUDIT_KEY_STORE_DSN`` says where the keys lie beside what they open. For development."""

_FILE = "file:"

logger = structlog.get_logger(__name__)


def open_key_store(target: str, audit_dsn: str) -> KeyStore:
    """The key store that ``LLM_AUDIT_KEY_STORE_DSN`` names.

    Args:
        target: A PostgreSQL connection string, ``file:PATH`` or :data:`SAME_DATABASE`.
        audit_dsn: The audit database.

    Raises:
        ConfigurationError: it cannot be read, made or used.
        DatabaseUnavailableError: its database does not answer.
    """
    if target.startswith(_FILE):
        return SqliteKeyStore(Path(target.removeprefix(_FILE)))
    if target in {SAME_DATABASE, audit_dsn}:
        logger.warning(
            "users' keys lie in the audit database itself: whoever restores a backup of it has both, and can read what "
            "was erased. For development only; set LLM_AUDIT_KEY_STORE_DSN to a second database or to file:PATH"
        )
        return PostgresKeyStore(audit_dsn, "the audit database itself (development only)")
    return PostgresKeyStore(target, "a PostgreSQL database of its own")


class PostgresKeyStore:
    """Keys in three tables of a PostgreSQL database; connects again by itself.

    Args:
        dsn: libpq connection string.
        description: What it is, in words.

    Raises:
        ConfigurationError: the tables are missing, and this role may not make them.
        DatabaseUnavailableError: the database does not answer.
    """

    def __init__(self, dsn: str, description: str) -> None:
        self._dsn = dsn
        self._description = description
        self._open: Database | None = None
        self._digests = Digests(self._made_secret())

    @property
    def description(self) -> str:
        """What it is, in words."""
        return self._description

    def keys_for(self, latest_calls: Mapping[Subject, datetime]) -> dict[Subject, SubjectKeys]:
        """See :meth:`KeyStore.keys_for`."""
        subjects = list(latest_calls)
        if not subjects:
            return {}
        found = self._found(subjects)
        wanting = [each for each in subjects if found[each].wants_key(latest_calls[each])]
        if wanting:
            self._make(wanting, latest_calls)
            found = self._found(subjects)
        return found

    def key(self, key_id: str) -> UserKey | None:
        """See :meth:`KeyStore.key`."""
        rows = self._rows("keys_key", {"key_id": key_id})
        return UserKey(key_id, bytes(rows[0]["key"])) if rows else None

    def key_ids(self, user_id: str, tenant: str | None) -> list[str]:
        """See :meth:`KeyStore.key_ids`."""
        return [row["key_id"] for row in self._rows("keys_of", self._named(user_id, tenant))]

    def erase(self, user_id: str, tenant: str | None, at: datetime) -> list[str]:
        """See :meth:`KeyStore.erase`."""
        named = {**self._named(user_id, tenant), "at": at}
        database = self._database()
        with database.transaction():
            database.execute(statement("keys_lock_to_erase"))
            database.execute(statement("keys_entomb"), named)
            deleted = [row["key_id"] for row in database.rows(statement("keys_of"), named)]
            database.execute(statement("keys_delete"), named)
        return deleted

    def scrub(self) -> None:
        """Write the table anew, without what was deleted; the write-ahead log and backups keep it for their time."""
        self._database().execute_alone(statement("keys_scrub"))

    def pseudonym(self, user_id: str, tenant: str | None) -> str:
        """See :meth:`KeyStore.pseudonym`."""
        return self._digests.pseudonym(user_id, tenant)

    def close(self) -> None:
        """Let go of the connection; the next call opens another."""
        database, self._open = self._open, None
        if database is not None:
            database.close()

    def _found(self, subjects: list[Subject]) -> dict[Subject, SubjectKeys]:
        rows = self._rows("keys_find", self._macs(subjects))
        return {
            subject: SubjectKeys(
                None if row["key"] is None else UserKey(row["key_id"], bytes(row["key"])), row["erased_at"]
            )
            for subject, row in zip(subjects, rows, strict=True)
        }

    def _make(self, subjects: list[Subject], latest_calls: Mapping[Subject, datetime]) -> None:
        database = self._database()
        try:
            with database.transaction():
                database.execute(statement("keys_lock_to_make"))
                database.execute(
                    statement("keys_make"),
                    {
                        **self._macs(subjects),
                        "key_ids": [str(uuid4()) for _ in subjects],
                        "keys": [secrets.token_bytes(KEY_BYTES) for _ in subjects],
                        "latest_calls": [latest_calls[each] for each in subjects],
                    },
                )
        except RetryableStoreError:
            self.close()
            raise

    def _macs(self, subjects: list[Subject]) -> dict[str, object]:
        return {
            "user_macs": [self._digests.user(each.user_id) for each in subjects],
            "tenant_macs": [self._digests.tenant(each.tenant) for each in subjects],
        }

    def _named(self, user_id: str, tenant: str | None) -> dict[str, object]:
        return {
            "user_mac": self._digests.user(user_id),
            "tenant_mac": None if tenant is None else self._digests.tenant(tenant),
        }

    def _rows(self, name: str, parameters: Parameters) -> list[dict[str, Any]]:
        database = self._database()
        try:
            with database.transaction():
                return database.rows(statement(name), parameters)
        except RetryableStoreError:
            self.close()
            raise

    def _database(self) -> Database:
        if self._open is None or not self._open.usable:
            self._open = Database(self._dsn, application_name="llm-audit-keys")
        return self._open

    def _made_secret(self) -> bytes:
        """The store's secret, once its tables are there.

        Raises:
            ConfigurationError: they are not, and cannot be made.
        """
        database = self._database()
        try:
            with database.transaction():
                if not database.rows(statement("keys_tables_exist"))[0]["there"]:
                    database.rows(statement("keys_make_lock"))
                    database.execute(statement("keys_tables"))
                    database.execute(
                        statement("keys_make_secret"), {"secret": secrets.token_bytes(SECRET_BYTES)}
                    )
                return bytes(database.rows(statement("keys_secret"))[0]["secret"])
        except ConfigurationError as error:
            raise ConfigurationError(
                f"the key store in {self._description} cannot be used: {error}",
                "let its owner run once: llm-audit content prepare-keys; then grant this role SELECT and INSERT "
                "on its tables (and DELETE for llm-audit erase)",
            ) from error
