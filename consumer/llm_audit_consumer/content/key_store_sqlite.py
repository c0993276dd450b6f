"""A key store in one SQLite file: for one machine, with backups that live as long as the file's own copies do."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from llm_audit_consumer.content.keys import (
    KEY_BYTES,
    SECRET_BYTES,
    Digests,
    Subject,
    SubjectKeys,
    UserKey,
)
from llm_audit_consumer.content.sql import statement
from llm_audit_consumer.errors import ConfigurationError, DatabaseUnavailableError

_BUSY_SECONDS = 10.0


class SqliteKeyStore:
    """Keys in a file that only its owner may read. Safe for several processes of one machine.

    Args:
        path: The file; made where it is missing.

    Raises:
        ConfigurationError: the file cannot be made or read, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.exists():
                path.touch(mode=0o600)
            if path.stat().st_mode & 0o077:
                raise ConfigurationError(
                    f"others than its owner may read the key store {path}",
                    f"run: chmod 600 {path}",
                )
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # What is deleted is overwritten in the file; its journal is cut to nothing after each transaction.
            self._connection.executescript(statement("sqlite_keys_settings"))
            self._connection.executescript(statement("sqlite_keys_tables"))
            with self._transaction():
                self._connection.execute(
                    statement("sqlite_keys_make_secret"), (secrets.token_bytes(SECRET_BYTES),)
                )
            (secret,) = self._connection.execute(statement("sqlite_keys_secret")).fetchone()
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                f"the key store {path} cannot be used: {error}", "name a file this user may write"
            ) from error
        self._digests = Digests(secret)

    @property
    def description(self) -> str:
        """What it is, in words."""
        return f"the file {self._path}"

    def keys_for(self, latest_calls: Mapping[Subject, datetime]) -> dict[Subject, SubjectKeys]:
        """See :meth:`KeyStore.keys_for`."""
        with self._transaction():
            return {subject: self._key_for(subject, at) for subject, at in latest_calls.items()}

    def key(self, key_id: str) -> UserKey | None:
        """See :meth:`KeyStore.key`."""
        with self._transaction():
            row = self._connection.execute(statement("sqlite_keys_key"), {"key_id": key_id}).fetchone()
        return None if row is None else UserKey(key_id, row[0])

    def key_ids(self, user_id: str, tenant: str | None) -> list[str]:
        """See :meth:`KeyStore.key_ids`."""
        with self._transaction():
            rows = self._connection.execute(statement("sqlite_keys_of"), self._named(user_id, tenant))
            return [key_id for (key_id,) in rows]

    def erase(self, user_id: str, tenant: str | None, at: datetime) -> list[str]:
        """See :meth:`KeyStore.erase`."""
        named = {**self._named(user_id, tenant), "at": at.timestamp()}
        with self._transaction():
            self._connection.execute(statement("sqlite_keys_entomb"), named)
            deleted = [key_id for (key_id,) in self._connection.execute(statement("sqlite_keys_of"), named)]
            self._connection.execute(statement("sqlite_keys_delete"), named)
        return deleted

    def scrub(self) -> None:
        """See :meth:`KeyStore.scrub`; ``secure_delete`` did it already."""

    def pseudonym(self, user_id: str, tenant: str | None) -> str:
        """See :meth:`KeyStore.pseudonym`."""
        return self._digests.pseudonym(user_id, tenant)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _key_for(self, subject: Subject, latest_call: datetime) -> SubjectKeys:
        named: dict[str, object] = {
            "user": self._digests.user(subject.user_id),
            "tenant": self._digests.tenant(subject.tenant),
        }
        (erased,) = self._connection.execute(statement("sqlite_keys_erased_at"), named).fetchone()
        erased_at = None if erased is None else datetime.fromtimestamp(erased, latest_call.tzinfo)
        if erased_at is None or latest_call > erased_at:
            named |= {"key_id": str(uuid4()), "key": secrets.token_bytes(KEY_BYTES)}
            self._connection.execute(statement("sqlite_keys_make"), named)
        row = self._connection.execute(statement("sqlite_keys_find"), named).fetchone()
        return SubjectKeys(None if row is None else UserKey(*row), erased_at)

    def _named(self, user_id: str, tenant: str | None) -> dict[str, object]:
        return {
            "user": self._digests.user(user_id),
            "tenant": None if tenant is None else self._digests.tenant(tenant),
        }

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One at a time over all processes, so that no key is made while one is being erased."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise DatabaseUnavailableError(
                f"the key store {self._path} does not answer: {error}", "it is tried again"
            ) from error
