"""A batch with its dead letters and offsets: all of it or nothing, once, whatever the values."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest

from llm_audit_consumer.batch import DeadLetter, DecodedBatch, Message, OffsetAdvance, Partition, Written
from llm_audit_consumer.errors import (
    ConfigurationError,
    DatabaseUnavailableError,
    OffsetConflictError,
    RetryableStoreError,
    SchemaMismatchError,
    UnstorableRowError,
)
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.postgres import Database as Connection
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at
from llm_audit_schemas.codec import Record
from llm_audit_schemas.entry import FIELD_NAMES
from tests.parts.databases import Database

GROUP = "group"
PARTITION = Partition("topic-id", "topic", 0)
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
CODEC = EntryCodec()


@pytest.fixture
def store(database: Database) -> Iterator[AuditStore]:
    migrate(database.dsn)
    store = AuditStore(database.dsn, statement_timeout_ms=2000)
    yield store
    store.close()


def entry(at: datetime = NOW, **changes: Any) -> AuditEntry:
    plain = AuditEntry(
        request_id=request_id_at(at),
        timestamp=at,
        producer_id=new_producer_id(),
        sequence=0,
        user_id="ada",
        provider="anthropic",
        action="messages.create",
        status="success",
        library_version="test",
    )
    return replace(plain, **changes)


def row_of(audit_entry: AuditEntry) -> Record:
    return CODEC.decode_record(CODEC.encode(audit_entry))


def batch(
    rows: list[Record], expected: int | None, upto: int, *, bad: list[DeadLetter] | None = None
) -> DecodedBatch:
    return DecodedBatch(rows, bad or [], [OffsetAdvance(PARTITION, expected, upto)])


def dead_letter(offset: int, value: bytes = b"\x00\xff garbage \\x") -> DeadLetter:
    return DeadLetter(
        Message(PARTITION, offset, NOW, b"key\x00", value, None), "bad_body", "cannot\x00 decode"
    )


def fetch(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    finally:
        connection.close()


HOSTILE = "tab\tline\nreturn\r backslash\\ \\N \\. quote\" ' {a,b} , \u00fc\U0001f6b2\u2028 \x01"


def test_every_column_keeps_its_value(store: AuditStore, database: Database) -> None:
    text: dict[str, Any] = {
        name: f"{name} {HOSTILE}"
        for name, kind in AuditEntry.__annotations__.items()
        if kind == "str | None" and not name.endswith("_id")
    }
    full = entry(
        **text,
        user_id=HOSTILE,
        tool_names=("", HOSTILE, "NULL", 'a"b', "{}"),
        input_tokens=2**62,
        output_tokens=0,
        cost_usd=Decimal("123456789012.123456789012"),
        http_status=2**31 - 1,
        latency_ms=7,
        canonical_form=1,
        metadata={"key": HOSTILE, "nested": [1, 2.5, None, {"a": True}]},
        details={},
        prev_digest=b"\x00\\\xff",
        entry_mac=b"",
        digest_salts={"a": "b"},
        streamed=True,
        truncated=True,
    )
    bare = entry()
    assert store.write(GROUP, batch([row_of(full), row_of(bare)], None, 2)) == Written(2, 0, 0)
    columns = ", ".join(f'"{name}"' for name in FIELD_NAMES)
    (stored,) = fetch(database.dsn, f"SELECT {columns} FROM llm_audit_log WHERE streamed")
    for name, value in zip(FIELD_NAMES, stored, strict=True):
        assert as_entry_has_it(value) == getattr(full, name), name
    (empty,) = fetch(database.dsn, f"SELECT {columns} FROM llm_audit_log WHERE NOT streamed")
    nothing = {name for name, value in zip(FIELD_NAMES, empty, strict=True) if value is None}
    assert nothing == {name for name in FIELD_NAMES if getattr(bare, name) is None}


def as_entry_has_it(value: object) -> object:
    if isinstance(value, memoryview):
        return bytes(value)
    return tuple(value) if isinstance(value, list) else value


def test_the_same_entry_is_stored_once(store: AuditStore, database: Database) -> None:
    rows = [row_of(entry()) for _ in range(3)]
    assert store.write(GROUP, batch([*rows, rows[0]], None, 4)) == Written(3, 1, 0)
    assert store.write(GROUP, batch([rows[1], row_of(entry())], 4, 6)) == Written(1, 1, 0)
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(4,)]
    assert store.next_offsets(GROUP, "topic-id") == {0: 6}
    assert store.next_offsets("another", "topic-id") == {}


@pytest.mark.parametrize("expected", [None, 4, 6])
def test_a_zombies_batch_rolls_back_whole(
    expected: int | None, store: AuditStore, database: Database
) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 5))
    with pytest.raises(OffsetConflictError, match="offset 5, expected"):
        store.write(GROUP, batch([row_of(entry())], expected, 7, bad=[dead_letter(6)]))
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(1,)]
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_dead_letter") == [(0,)]
    assert store.next_offsets(GROUP, "topic-id") == {0: 5}
    assert store.write(GROUP, batch([row_of(entry())], 5, 6)) == Written(1, 0, 0)


def test_a_dead_letter_is_kept_whole_and_once(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([], None, 8, bad=[dead_letter(7)]))
    store.write("another group", batch([], None, 8, bad=[dead_letter(7)]))
    ((reason, detail, key, value, identity),) = fetch(
        database.dsn, "SELECT reason, detail, key, value, identity FROM llm_audit_dead_letter"
    )
    assert (reason, detail, identity) == ("bad_body", "cannot\N{SYMBOL FOR NULL} decode", None)
    assert (bytes(key), bytes(value)) == (b"key\x00", b"\x00\xff garbage \\x")


def test_a_value_that_postgres_refuses_is_named_without_being_shown(store: AuditStore) -> None:
    row = row_of(entry(user_id="planted secret"))
    row["cost_usd"] = Decimal(10) ** 14
    with pytest.raises(UnstorableRowError) as caught:
        store.write(GROUP, batch([row], None, 1))
    assert "22003" in str(caught.value)
    assert "planted" not in str(caught.value)
    assert store.next_offsets(GROUP, "topic-id") == {}


@pytest.mark.parametrize(
    ("at", "partition"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), "llm_audit_log_before"),
        (datetime(2020, 2, 29, tzinfo=UTC), "llm_audit_log_before"),
        (datetime(2199, 1, 1, tzinfo=UTC), "llm_audit_log_after"),
    ],
)
def test_no_date_is_refused(at: datetime, partition: str, store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_of(entry(at))], None, 1))
    assert fetch(database.dsn, "SELECT tableoid::regclass::text FROM llm_audit_log") == [(partition,)]


def test_an_id_without_a_time_is_stored_too(store: AuditStore, database: Database) -> None:
    row = row_of(entry())
    row["request_id"] = uuid.UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")
    store.write(GROUP, batch([row], None, 1))
    assert fetch(database.dsn, "SELECT tableoid::regclass::text FROM llm_audit_log") == [
        ("llm_audit_log_after",)
    ]


def test_this_month_has_its_partition(store: AuditStore, database: Database) -> None:
    now = datetime.now(UTC)
    store.write(GROUP, batch([row_of(entry(now))], None, 1))
    assert fetch(database.dsn, "SELECT tableoid::regclass::text FROM llm_audit_log") == [
        (f"llm_audit_log_{now:%Y_%m}",)
    ]


def test_new_months_take_over_the_rows_that_waited(store: AuditStore, database: Database) -> None:
    year = datetime.now(UTC).year + 1
    store.write(
        GROUP, batch([row_of(entry(datetime(year, month, 15, tzinfo=UTC))) for month in (9, 10, 11)], None, 3)
    )
    assert store.create_partitions(date(year, 10, 1)) > 0
    assert store.create_partitions(date(year, 10, 31)) == 0
    found = fetch(database.dsn, "SELECT tableoid::regclass::text FROM llm_audit_log ORDER BY request_id")
    assert found == [(f"llm_audit_log_{year}_09",), (f"llm_audit_log_{year}_10",), ("llm_audit_log_after",)]


def end_sessions(dsn: str) -> None:
    fetch(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llm-audit-consumer'",
    )


def test_a_lost_connection_is_retryable_and_mends_itself(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 1))
    end_sessions(database.dsn)
    again = batch([row_of(entry())], 1, 2)
    with pytest.raises(RetryableStoreError):
        store.write(GROUP, again)
    assert store.write(GROUP, again) == Written(1, 0, 0)
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(2,)]


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    store: AuditStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 1))
    doubtful = batch([row_of(entry())], 1, 2, bad=[dead_letter(1)])
    real = Connection.transaction

    def lose_the_answer(self: Connection) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def transaction() -> Iterator[None]:
            with real(self):
                yield
            raise RetryableStoreError("the connection broke after COMMIT was sent")

        return transaction()

    with monkeypatch.context() as broken:
        broken.setattr(Connection, "transaction", lose_the_answer)
        with pytest.raises(RetryableStoreError):
            store.write(GROUP, doubtful)
    assert store.write(GROUP, doubtful) == Written(1, 0, 1)
    assert store.write(GROUP, batch([row_of(entry())], 2, 3)) == Written(1, 0, 0)
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(3,)]


def test_a_statement_that_takes_too_long_is_retryable(store: AuditStore, database: Database) -> None:
    blocker = psycopg2.connect(database.dsn)
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE llm_audit_offset IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(RetryableStoreError):
                store.write(GROUP, batch([row_of(entry())], None, 1))
    finally:
        blocker.close()
    assert store.write(GROUP, batch([row_of(entry())], None, 1)) == Written(1, 0, 0)


ALTERATIONS = {
    "ALTER TABLE llm_audit_log DROP COLUMN stop_reason": "llm_audit_log lacks the column stop_reason",
    "ALTER TABLE llm_audit_log ALTER COLUMN latency_ms TYPE numeric": "latency_ms of table llm_audit_log is numeric",
    "ALTER TABLE llm_audit_log DROP CONSTRAINT llm_audit_log_pkey": "llm_audit_log has the primary key",
    "ALTER TABLE llm_audit_offset DROP CONSTRAINT llm_audit_offset_pkey": "llm_audit_offset has the primary key",
    "DROP TABLE llm_audit_dead_letter": "llm_audit_dead_letter is missing",
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_table_someone_altered_is_named(alteration: str, store: AuditStore, database: Database) -> None:
    store.verify_schema()
    connection = psycopg2.connect(database.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(alteration)
    connection.close()
    with pytest.raises(SchemaMismatchError, match=ALTERATIONS[alteration]):
        store.verify_schema()


def test_a_further_column_does_no_harm(store: AuditStore, database: Database) -> None:
    connection = psycopg2.connect(database.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE llm_audit_log ADD COLUMN cost_centre text")
    connection.close()
    store.verify_schema()
    assert store.write(GROUP, batch([row_of(entry())], None, 1)) == Written(1, 0, 0)


SECRET = "hunter2-planted"


@pytest.mark.parametrize(
    ("dsn", "error"),
    [
        (f"postgresql://postgres:{SECRET}@127.0.0.1:1/audit", DatabaseUnavailableError),
        (f"postgresql://postgres:{SECRET}@127.0.0.1:notaport/audit", DatabaseUnavailableError),
        (f"host=127.0.0.1 password={SECRET} nonsense", ConfigurationError),
    ],
)
def test_a_database_that_cannot_be_reached_is_said_without_the_password(
    dsn: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        AuditStore(dsn, connect_timeout=2).ping()
    chain: list[BaseException] = [caught.value]
    while (
        cause := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
    ) is not None:
        chain.append(cause)
    assert SECRET not in "".join(str(each) + repr(each) for each in chain)


def test_a_wrong_password_is_said_without_it(database: Database) -> None:
    wrong = database.dsn.replace("://postgres:", f"://postgres:{SECRET}")
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught:
        AuditStore(wrong).ping()
    assert SECRET not in str(caught.value)
