"""``AuditStore``: writes a batch, its dead letters and its offsets in one transaction, or nothing of it.

Invariants:

- Rows and offsets commit together. Whoever reads the offsets back knows which rows are in the table.
- An offset moves only from the value this consumer believes in. A zombie's batch, from a consumer that no longer owns
  its partition, therefore rolls back as a whole.
- An entry that is there already is left alone, so delivering it twice stores it once.
- A commit whose answer was lost is not guessed at: the next write reads the offsets and finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from llm_audit_consumer.batch import DecodedBatch, OffsetAdvance, Partition, Written
from llm_audit_consumer.errors import DatabaseBusyError, DuplicateRowError, RetryableStoreError
from llm_audit_consumer.store.copy_text import COLUMN_NAMES, copy_text
from llm_audit_consumer.store.delivery import advance_offset, insert_dead_letters, note_received
from llm_audit_consumer.store.duplicate_watch import DuplicateWatch
from llm_audit_consumer.store.postgres import Database, MemoryFile
from llm_audit_consumer.store.producer_store import note_progress
from llm_audit_consumer.store.schema_check import verify_tables
from llm_audit_consumer.store.sql import statement


class AuditStore:
    """The consumer's side of the database. Connects again by itself after a connection was lost.

    Args:
        dsn: libpq connection string.
        application_name: Shown in ``pg_stat_activity``.
        statement_timeout_ms: Longest that one statement may take, in milliseconds.
        connect_timeout: Longest that connecting may take, in seconds.
    """

    def __init__(
        self,
        dsn: str,
        *,
        application_name: str = "llm-audit-consumer",
        statement_timeout_ms: int = 60_000,
        connect_timeout: int = 5,
    ) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._statement_timeout_ms = statement_timeout_ms
        self._connect_timeout = connect_timeout
        self._open: Database | None = None
        self._duplicates = DuplicateWatch()
        self._in_doubt: Sequence[OffsetAdvance] | None = None

    def verify_schema(self) -> None:
        """Check that the tables are what the migrations make.

        Raises:
            SchemaMismatchError: they are not; names table and column.
            DatabaseUnavailableError: the database does not answer.
        """
        with self._transaction() as database:
            verify_tables(database)

    def next_offsets(self, group: str, topic_id: str) -> dict[int, int]:
        """Partition to next offset, for every partition of a topic that has one.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        with self._transaction() as database:
            rows = database.rows(statement("next_offsets"), {"consumer_group": group, "topic_id": topic_id})
        return {row["partition"]: row["next_offset"] for row in rows}

    def write(self, group: str, batch: DecodedBatch) -> Written:
        """Write a batch; when this returns it is committed.

        Raises:
            RetryableStoreError: rolled back, or its commit is in doubt; writing the same batch again is right.
            UnstorableRowError: rolled back, because PostgreSQL refuses a value of one of the rows.
            OffsetConflictError: rolled back, because another consumer has advanced one of the partitions.
            SchemaMismatchError: rolled back, because the tables do not fit.
        """
        try:
            return self._write(group, batch)
        except RetryableStoreError:
            self.close()
            raise

    def note_progress(self, group: str, read_through: Mapping[Partition, datetime]) -> None:
        """Keep up to which moment partitions have been read, for whoever judges what is missing.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        with self._transaction() as database:
            note_progress(database, group, read_through)

    def write_alongside(self, batch: DecodedBatch, settle: Callable[[Database], None]) -> Written:
        """Write rows that do not come from the topic now, and what ``settle`` does to the database, or none of it.

        Args:
            batch: Rows and the sequences that they bring; it advances no offset.
            settle: Called first, in the transaction; what it raises rolls everything back.

        Raises:
            RetryableStoreError: rolled back, or its commit is in doubt.
            UnstorableRowError: rolled back, because PostgreSQL refuses a value.
        """
        with self._transaction() as database:
            settle(database)
            inserted = _insert_staged(database, batch) if batch.row_count else 0
            note_received(database, batch.received)
        return Written(inserted, batch.row_count - inserted)

    def create_partitions(self, through: date) -> int:
        """Make the monthly partitions up to and including the month of ``through``; returns how many were made.

        Raises:
            DatabaseUnavailableError: the database does not answer, or someone's long query holds the log.
        """
        with self._transaction() as database:
            return int(database.rows(statement("create_partitions"), {"through": through})[0]["made"])

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailableError: there is none.
        """
        try:
            with self._transaction() as database:
                database.execute(statement("ping"))
        except RetryableStoreError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection; the next call opens another."""
        database, self._open = self._open, None
        if database is not None:
            database.close()

    def _database(self) -> Database:
        if self._open is None or not self._open.usable:
            self._open = Database(
                self._dsn, application_name=self._application_name, connect_timeout=self._connect_timeout
            )
        return self._open

    @contextmanager
    def _transaction(self) -> Iterator[Database]:
        database = self._database()
        with database.transaction():
            database.execute(statement("begin"), {"statement_timeout_ms": self._statement_timeout_ms})
            yield database

    def _write(self, group: str, batch: DecodedBatch) -> Written:
        if self._in_doubt is not None and self._was_committed(group, batch.advances):
            return Written(inserted=batch.row_count, duplicates=0, dead_letters=len(batch.dead_letters))
        partitions = [advance.partition for advance in batch.advances]
        if not self._duplicates.expected_of(partitions):
            try:
                return self._commit(group, batch, _insert_straight)
            except (DuplicateRowError, DatabaseBusyError):
                self._duplicates.found(partitions)  # busy: another one writes the same rows just now
        try:
            written = self._commit(group, batch, _insert_staged)
        except DatabaseBusyError:  # by one that went straight, and will not do so again
            written = self._commit(group, batch, _insert_staged)
        if written.duplicates:
            self._duplicates.found(partitions)
        else:
            self._duplicates.found_none(partitions)
        return written

    def _commit(
        self, group: str, batch: DecodedBatch, insert: Callable[[Database, DecodedBatch], int]
    ) -> Written:
        with self._transaction() as database:
            inserted = insert(database, batch) if batch.row_count else 0
            insert_dead_letters(database, group, batch.dead_letters)
            note_received(database, batch.received)
            for advance in batch.advances:
                advance_offset(database, group, advance)
            self._in_doubt = batch.advances
        self._in_doubt = None
        return Written(inserted, batch.row_count - inserted, len(batch.dead_letters))

    def _was_committed(self, group: str, advances: Sequence[OffsetAdvance]) -> bool:
        """Whether the commit whose answer was lost went through: then every offset stands where it would put it."""
        if self._in_doubt != advances or not advances:
            self._in_doubt = None
            return False
        topic_ids = {advance.partition.topic_id for advance in advances}
        stored = {topic_id: self.next_offsets(group, topic_id) for topic_id in topic_ids}
        self._in_doubt = None  # only now: had the reading failed, the doubt would stand
        return all(
            stored[advance.partition.topic_id].get(advance.partition.number) == advance.next_offset
            for advance in advances
        )


def _insert_straight(database: Database, batch: DecodedBatch) -> int:
    """Put the rows into the log; one that is there already undoes the transaction."""
    _copy_rows(database, "llm_audit_log", batch)
    return batch.row_count


def _insert_staged(database: Database, batch: DecodedBatch) -> int:
    """Put those rows into the log that are not there yet; returns how many."""
    database.execute(statement("make_staging"))
    _copy_rows(database, "llm_audit_staging", batch)
    return database.execute(statement("insert_staged").format(columns=COLUMN_NAMES))


def _copy_rows(database: Database, table: str, batch: DecodedBatch) -> None:
    if batch.entries:
        columns = ", ".join(f'"{name}"' for name in batch.entries.column_names)
        database.copy_in(
            statement("copy_binary").format(table=table, columns=columns),
            MemoryFile(batch.entries.binary_copy),
        )
    if batch.rows:
        database.copy_in(
            statement("copy_text").format(table=table, columns=COLUMN_NAMES), copy_text(batch.rows)
        )
