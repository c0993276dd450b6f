"""The one door to PostgreSQL: connections, statements, and errors in our own terms. Nothing else imports psycopg2.

TLS is libpq's: ``sslmode=verify-full sslrootcert=...`` in the connection string, or its environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import psycopg2
from psycopg2 import extensions, extras

from llm_audit_consumer.errors import (
    AuditConsumerError,
    ConfigurationError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    DuplicateRowError,
    RetryableStoreError,
    SchemaMismatchError,
    UnstorableRowError,
)
from llm_audit_consumer.store.transport import warn_of_plaintext

Parameters = Mapping[str, object]

# SQLSTATE classes and codes, from PostgreSQL's manual, appendix A.
_PASSING = ("08", "40001", "40P01", "53", "55P03", "57", "58", "25006")
_IN_THE_WAY = ("40P01", "55P03")  # deadlock detected, lock not available
_DATA = ("22", "23", "54")
_DUPLICATE = "23505"
_TABLES = ("42", "3F")
_ALREADY_THERE = ("42P07", "42710", "42723")
_NO_PRIVILEGE = "42501"
_COPY_BYTES = 256 * 1024
_MIGRATE_HINT = "bring the tables up to date with: llm-audit migrate"
_FOREIGN_HINT = (
    "something of that name is there that llm-audit did not make: rename it, "
    "or give the trail a database of its own"
)
_DSN_HINT = "write it as postgresql://USER@HOST:PORT/DATABASE, special characters percent-encoded"

# What the connection string may say otherwise. Unacknowledged data ends a connection by tcp_user_timeout alone
# (keepalives are for idle ones): later than a batch's statement timeout, so that a slow server is no dead one.
_DEFAULTS = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "90000",
}


class MemoryFile:
    """Bytes in memory, read as a file without being copied whole.

    Args:
        content: The bytes.
    """

    def __init__(self, content: memoryview) -> None:
        self._content = content
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most ``size`` of them; all that are left where it is negative."""
        start = self._at
        self._at = len(self._content) if size < 0 else min(start + size, len(self._content))
        return bytes(self._content[start : self._at])

    def readline(self, size: int = -1) -> bytes:
        """As :meth:`read`: there are no lines. psycopg2 asks that a file has it, and does not call it."""
        return self.read(size)


class Database:
    """One connection, not shared between threads.

    Args:
        dsn: libpq connection string or URI. Its password is never repeated in an error.
        application_name: Shown in ``pg_stat_activity``.
        connect_timeout: Seconds that connecting may take, unless the connection string says otherwise.

    Raises:
        ConfigurationError: the connection string cannot be read.
        DatabaseUnavailableError: the server does not answer or refuses.
    """

    def __init__(self, dsn: str, *, application_name: str, connect_timeout: int = 10) -> None:
        asked = _parsed(dsn)
        warn_of_plaintext(asked, os.environ)
        settings = {
            **_DEFAULTS,
            "application_name": application_name,
            "connect_timeout": str(connect_timeout),
            **asked,
            "client_encoding": "UTF8",
        }
        try:
            self._connection = psycopg2.connect(extensions.make_dsn(**settings))
        except psycopg2.OperationalError as error:
            raise DatabaseUnavailableError(
                f"PostgreSQL cannot be reached: {_first_line(error)}",
                "check that the server runs and that LLM_AUDIT_POSTGRES_DSN names its host, port, user and database"
                " and, with TLS, sslmode and sslrootcert",
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit when the block ends, roll back when it raises.

        Raises:
            AuditConsumerError: in our own terms, whatever PostgreSQL raised within the block.
        """
        try:
            with self._connection:
                yield
        except psycopg2.Error as error:
            # Not chained: PostgreSQL's own DETAIL and CONTEXT lines quote the row, and tracebacks get logged.
            raise translated(error) from None

    def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run a statement; returns how many rows it touched."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)

    def execute_alone(self, sql: str) -> None:
        """Run a statement that takes no transaction around it, such as VACUUM.

        Raises:
            AuditConsumerError: in our own terms, whatever PostgreSQL raised.
        """
        self._connection.autocommit = True
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
        except psycopg2.Error as error:
            raise translated(error) from None
        finally:
            if not self._connection.closed:
                self._connection.autocommit = False

    def execute_many(self, sql: str, parameters: list[Parameters]) -> None:
        """Run a statement once for each set of parameters."""
        with self._connection.cursor() as cursor:
            extras.execute_batch(cursor, sql, parameters)

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[dict[str, Any]]:
        """The rows of a query, each as column to value."""
        with self._connection.cursor(cursor_factory=extras.RealDictCursor) as cursor:
            cursor.execute(sql, parameters)
            return [dict(row) for row in cursor.fetchall()]

    def stream(self, sql: str, parameters: Parameters | None = None) -> Iterator[dict[str, Any]]:
        """The rows of a query of any size, fetched as they are asked for, in a transaction of its own."""
        with (
            self.transaction(),
            self._connection.cursor("llm_audit_stream", cursor_factory=extras.RealDictCursor) as cursor,
        ):
            cursor.itersize = 5000
            cursor.execute(sql, parameters)
            for row in cursor:
                yield dict(row)

    def copy_in(self, sql: str, source: TextIO | MemoryFile) -> None:
        """Feed a COPY FROM STDIN."""
        with self._connection.cursor() as cursor:
            cursor.copy_expert(sql, source, _COPY_BYTES)

    @property
    def usable(self) -> bool:
        """Whether the connection is open, as far as this side knows."""
        return not self._connection.closed

    def close(self) -> None:
        """Close the connection; an open transaction rolls back."""
        self._connection.close()


def translated(error: psycopg2.Error) -> AuditConsumerError:
    """PostgreSQL's error in our own terms; never holds a row's values."""
    code = error.pgcode or ""
    if code == _NO_PRIVILEGE:
        return ConfigurationError(
            f"PostgreSQL refuses: {_first_line(error)}", "connect as a role that may write the audit tables"
        )
    if code in _ALREADY_THERE:
        return SchemaMismatchError(f"the tables cannot be made: {_first_line(error)}", _FOREIGN_HINT)
    if code.startswith(_TABLES):
        return SchemaMismatchError(f"the tables do not fit: {_first_line(error)}", _MIGRATE_HINT)
    if code == _DUPLICATE:
        return DuplicateRowError(f"PostgreSQL has a row of this key already: SQLSTATE {code}")
    if code.startswith(_DATA):
        return UnstorableRowError(f"PostgreSQL refuses a value: SQLSTATE {code}, {type(error).__name__}")
    if code in _IN_THE_WAY:
        return DatabaseBusyError(f"PostgreSQL: {_first_line(error)}", "it is tried again")
    if not code or code.startswith(_PASSING):
        return RetryableStoreError(
            f"PostgreSQL: {_first_line(error) or type(error).__name__}", "it is tried again"
        )
    return RetryableStoreError(f"PostgreSQL: SQLSTATE {code}, {type(error).__name__}", "it is tried again")


def _parsed(dsn: str) -> dict[str, str]:
    """The connection string's settings; libpq's own words about a bad one repeat parts of its password."""
    try:
        settings: dict[str, str] = extensions.parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        settings = {}
        readable = False
    else:
        readable = not _holds_stray_password(settings)
    if not readable:
        raise ConfigurationError("the PostgreSQL connection string cannot be read", _DSN_HINT)
    return settings


def _holds_stray_password(settings: Mapping[str, str]) -> bool:
    """Whether a password's unencoded ``@`` or ``/`` has spilled part of it into host, port or database."""
    host, ports = settings.get("host", ""), settings.get("port", "")
    return (
        "@" in host.removeprefix("@")  # a leading one is libpq's sign of an abstract socket
        or "@" in settings.get("dbname", "")
        or not all(port.isdecimal() for port in ports.split(",") if port)
    )


def _first_line(error: psycopg2.Error) -> str:
    return str(error).strip().partition("\n")[0]
