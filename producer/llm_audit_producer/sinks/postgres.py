"""The direct PostgreSQL sink, for those who have no Kafka yet. The only producer file that knows PostgreSQL.

It writes on the recorder's thread, one committed row per entry: simple, and some fifty times slower than the
consumer's batches. While the database is away entries wait in the recorder's bounded queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from llm_audit_producer.errors import AuditSettingsError, SinkError, TrailUnreadableError
from llm_audit_producer.sinks import DeliveryReports
from llm_audit_producer.sinks.query_times import require_aware
from llm_audit_schemas import AuditEntry, InvalidEntryError, ProducerMarker
from llm_audit_schemas.codec import entry_record
from llm_audit_schemas.entry import FIELD_NAMES

if TYPE_CHECKING:
    from psycopg2 import Error as PostgresError
    from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2 names its class in lower case

logger = logging.getLogger("llm_audit_producer")

_FIRST_WAIT_SECONDS = 0.2
_LONGEST_WAIT_SECONDS = 10.0
_MAY_PASS = {
    "25006": "it is a standby; name the primary, or wait for the failover's end",
    "3F000": "run `llm-audit migrate` against this database",
    "42P01": "run `llm-audit migrate` against this database",
    "42703": "run `llm-audit migrate` of this release against this database",
    "42501": "grant this role INSERT and SELECT on llm_audit_log",
}
"""SQL states besides a lost connection that no entry is to blame for, and how an operator mends them."""

_NO_PRIVILEGE = "42501"
_TABLES = ("42P01", "42703", "42883", "3F")
"""SQL states of a table, column or function that is missing, and of a missing schema."""

_JSON_COLUMNS = frozenset({"metadata", "details", "digest_salts"})


class PostgresAuditStorage:
    """Writes entries straight into ``llm_audit_log``, which ``llm-audit migrate`` makes.

    Args:
        dsn: libpq connection string. Its password is never printed.
        connect_timeout: Seconds one attempt to connect may take.

    Raises:
        AuditSettingsError: psycopg2 is not installed.
    """

    def __init__(self, dsn: str, *, connect_timeout: int = 5) -> None:
        try:
            import psycopg2
        except ImportError as error:
            raise AuditSettingsError(
                "PostgresAuditStorage needs psycopg2: pip install 'llm-audit-log[consumer]'"
            ) from error
        self._psycopg2 = psycopg2
        self._dsn = dsn
        self._connect_timeout = connect_timeout
        self._connection: Connection | None = None
        self._reports: DeliveryReports | None = None
        self._closing = threading.Event()
        self._in_use = threading.Lock()

    def open(self, reports: DeliveryReports) -> None:
        """Nothing yet: the first entry connects."""
        self._reports = reports

    def append(self, entry: AuditEntry) -> None:
        """Write and commit one row; while the database is away, wait and try again until closed.

        Raises:
            SinkError: the database refuses the row itself, or the sink was closed while it waited.
        """
        wait = _FIRST_WAIT_SECONDS
        while (trouble := self._attempt(entry)) is not None:
            logger.warning("llm-audit: %s; trying again in %.1f s", trouble, wait)
            if self._closing.wait(wait):
                raise SinkError("not_drained", "PostgreSQL stayed away until the end")
            wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
        if self._reports is not None:
            self._reports.delivered(entry)

    def _attempt(self, entry: AuditEntry) -> str | None:
        """Try once; what kept the row from being written, where that may pass, else ``None``."""
        with self._in_use:
            try:
                self._insert(entry)
            except InvalidEntryError as error:
                raise SinkError("invalid_entry", str(error)) from error
            except (self._psycopg2.OperationalError, self._psycopg2.InterfaceError) as error:
                self._disconnect()
                return f"PostgreSQL is away ({type(error).__name__})"
            except self._psycopg2.Error as error:
                self._disconnect()
                kind = f"{error.pgcode} {type(error).__name__}"
                if hint := _MAY_PASS.get(error.pgcode or ""):
                    return f"PostgreSQL takes no entries ({kind}): {hint}"
                raise SinkError("refused", f"PostgreSQL refuses the row: {kind}") from error
            return None

    def mark(self, marker: ProducerMarker) -> None:
        """Nobody counts what is written straight into the table, so nothing is kept."""

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - every append commits
        """Every append commits already."""
        return 0

    def close(self, timeout: float) -> int:
        """Stop waiting for the database, and let go of the connection, unless an entry hangs in it."""
        self._closing.set()
        # To close a connection that waits for an answer would wait for that answer too.
        if self._in_use.acquire(timeout=timeout):
            self._disconnect()
            self._in_use.release()
        return 0

    def after_fork(self) -> PostgresAuditStorage:
        """A sink with its own connection; the parent's stays the parent's."""
        _abandoned.append(self._connection)  # closing it here would end the parent's session
        return PostgresAuditStorage(self._dsn, connect_timeout=self._connect_timeout)

    def query(
        self, start: datetime | None = None, end: datetime | None = None, user_id: str | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Rows of ``llm_audit_log`` by call start, oldest first, as mappings of column to value.

        Args:
            start: Earliest call start; timezone-aware. From the beginning when not given.
            end: First moment that is too late; timezone-aware. To the end when not given.
            user_id: Only this user's calls.

        Raises:
            ValueError: a time has no timezone.
        """
        require_aware(start=start, end=end)
        return self._rows("postgres_query.sql", {"start": start, "end": end, "user_id": user_id})

    def priced_calls(
        self, since: datetime, until: datetime, *, user_id: str | None = None, model: str | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """What the price of each stored call goes by, in no order, fetched as it is asked for.

        Args:
            since: Earliest call start; timezone-aware, in whole milliseconds.
            until: First call start that is too late; the same.
            user_id: Only this user's calls.
            model: Only this model's calls.

        Yields:
            Column to value, with ``raw_usage`` and ``region`` out of ``details``.

        Raises:
            TrailUnreadableError: the database is away, has no such tables, or refuses this role.
            ValueError: a time has no timezone.
        """
        require_aware(since=since, until=until)
        if not self._readable_dsn():
            raise TrailUnreadableError(
                "bad_question",
                "the PostgreSQL connection string cannot be read; write postgresql://USER@HOST:PORT/DATABASE, with "
                "any @ and / of a password percent-encoded",
            )
        asked = {"since": since, "until": until, "user_id": user_id, "model": model}
        try:
            yield from self._rows("postgres_priced_calls.sql", asked)
        except self._psycopg2.Error as error:
            raise _unreadable(error) from None  # not chained: PostgreSQL's DETAIL lines may quote a row

    def _readable_dsn(self) -> bool:
        """Whether libpq can read the connection string, with no part of a password spilled into other settings."""
        from psycopg2.extensions import parse_dsn

        try:
            settings = parse_dsn(self._dsn)
        except self._psycopg2.ProgrammingError:
            return False
        host, ports = settings.get("host", ""), settings.get("port", "")
        return (
            "@" not in host.removeprefix("@")  # a leading one is libpq's sign of an abstract socket
            and "@" not in settings.get("dbname", "")
            and all(port.isdecimal() for port in ports.split(",") if port)
        )

    def _rows(self, query: str, parameters: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        from psycopg2.extras import RealDictCursor

        connection = self._psycopg2.connect(self._dsn, connect_timeout=self._connect_timeout)
        try:
            connection.set_session(readonly=True)  # whoever asks changes nothing
            with connection, connection.cursor("llm_audit_query", cursor_factory=RealDictCursor) as cursor:
                cursor.execute(_sql(query), parameters)
                yield from cursor
        finally:
            connection.close()

    def _insert(self, entry: AuditEntry) -> None:
        if self._connection is None:
            self._connection = self._psycopg2.connect(
                self._dsn, connect_timeout=self._connect_timeout, application_name="llm-audit-producer"
            )
        record = entry_record(entry)
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(_insert_statement(), record)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _unreadable(error: PostgresError) -> TrailUnreadableError:
    code = error.pgcode or ""
    line = str(error).strip().partition("\n")[0]
    if code.startswith(_TABLES):
        hint = "run `llm-audit migrate` of this release against this database"
        return TrailUnreadableError("not_migrated", f"the tables do not fit: {line}; {hint}")
    if code == _NO_PRIVILEGE:
        hint = "connect as a role that may read llm_audit_log"
        return TrailUnreadableError("not_allowed", f"PostgreSQL refuses: {line}; {hint}")
    return TrailUnreadableError("away", f"PostgreSQL cannot be reached, or gave up: {line}")


def _insert_statement() -> str:
    placeholders = [f"%({name})s::jsonb" if name in _JSON_COLUMNS else f"%({name})s" for name in FIELD_NAMES]
    return _sql("postgres_insert.sql").format(columns=", ".join(FIELD_NAMES), values=", ".join(placeholders))


def _sql(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


_abandoned: list[Connection | None] = []
