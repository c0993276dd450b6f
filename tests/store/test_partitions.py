"""Monthly partitions: every id finds one, and months made later take over what waited for them."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import psycopg2
import pytest

from llm_audit_consumer.batch import Written
from llm_audit_consumer.errors import RetryableStoreError, UnstorableRowError
from llm_audit_consumer.store import AuditStore
from llm_audit_schemas.codec import Record
from tests.parts.databases import Database
from tests.store.rows import GROUP, batch, count, entry, fetch, partitions_of, row_of

BEFORE, AFTER = "llm_audit_log_before", "llm_audit_log_after"
NEXT_YEAR = datetime.now(UTC).year + 1


def row_at(*moment: int) -> Record:
    return row_of(entry(datetime(*moment, tzinfo=UTC)))  # type: ignore[misc,arg-type]  # year, month, day ...


@pytest.mark.parametrize(
    ("at", "partition"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), BEFORE),
        (datetime(2020, 2, 29, tzinfo=UTC), BEFORE),
        (datetime(2100, 1, 1, tzinfo=UTC), AFTER),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), AFTER),
    ],
)
def test_no_date_is_refused(at: datetime, partition: str, store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_of(entry(at))], None, 1))
    assert partitions_of(database.dsn) == [partition]


@pytest.mark.parametrize(
    ("identity", "partition"),
    [
        ("00000000-0000-0000-0000-000000000000", BEFORE),
        ("00000000-0000-4fff-bfff-ffffffffffff", BEFORE),
        ("d9428888-122b-41e1-b85c-61a1ab23cafe", AFTER),
        ("ffffffff-ffff-ffff-ffff-ffffffffffff", AFTER),
    ],
)
def test_an_id_without_a_time_is_stored_too(
    identity: str, partition: str, store: AuditStore, database: Database
) -> None:
    row = {**row_of(entry()), "request_id": uuid.UUID(identity)}
    assert store.write(GROUP, batch([row], None, 1)) == Written(1, 0, 0)
    assert store.write(GROUP, batch([row], 1, 2)) == Written(0, 1, 0)
    assert partitions_of(database.dsn) == [partition]


def test_a_month_holds_its_first_and_its_last_millisecond(store: AuditStore, database: Database) -> None:
    first = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    moments = [first - timedelta(milliseconds=1), first, first + timedelta(days=27)]
    store.write(GROUP, batch([row_of(entry(each)) for each in moments], None, 3))
    assert partitions_of(database.dsn) == [f"llm_audit_log_{each:%Y_%m}" for each in moments]


def test_new_months_take_over_the_rows_that_waited(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_at(NEXT_YEAR, month, 15) for month in (9, 10, 11)], None, 3))
    waiting = fetch(database.dsn, "SELECT * FROM llm_audit_log ORDER BY request_id")
    assert partitions_of(database.dsn) == [AFTER] * 3
    assert store.create_partitions(date(NEXT_YEAR, 10, 1)) > 0
    assert store.create_partitions(date(NEXT_YEAR, 10, 31)) == 0
    assert store.create_partitions(date(1999, 1, 1)) == 0
    assert partitions_of(database.dsn) == [
        f"llm_audit_log_{NEXT_YEAR}_09",
        f"llm_audit_log_{NEXT_YEAR}_10",
        AFTER,
    ]
    assert fetch(database.dsn, "SELECT * FROM llm_audit_log ORDER BY request_id") == waiting


def test_a_row_that_moved_is_still_a_duplicate(store: AuditStore, database: Database) -> None:
    row = row_at(NEXT_YEAR, 9, 15)
    store.write(GROUP, batch([row], None, 1))
    store.create_partitions(date(NEXT_YEAR, 9, 1))
    assert store.write(GROUP, batch([row], 1, 2)) == Written(0, 1, 0)
    assert count(database.dsn) == 1


def test_several_may_make_months_at_once(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_at(NEXT_YEAR, 9, 15)], None, 1))
    together = threading.Barrier(4)

    def make(_: int) -> int:
        one = AuditStore(database.dsn)
        try:
            one.ping()
            together.wait(30)
            return one.create_partitions(date(NEXT_YEAR, 12, 1))
        finally:
            one.close()

    with ThreadPoolExecutor(4) as callers:
        made = sorted(callers.map(make, range(4)))
    assert made[:3] == [0, 0, 0]
    assert made[3] > 0
    assert partitions_of(database.dsn) == [f"llm_audit_log_{NEXT_YEAR}_09"]


def test_months_go_on_where_they_ended_though_all_of_them_were_dropped(
    store: AuditStore, database: Database
) -> None:
    before = fetch(database.dsn, MONTHS)
    for (name,) in before:
        fetch(database.dsn, f"DROP TABLE {name}")
    assert store.create_partitions(date(NEXT_YEAR, 12, 1)) > 0
    after = [name for (name,) in fetch(database.dsn, MONTHS)]
    assert after[-1] == f"llm_audit_log_{NEXT_YEAR}_12"
    (last,) = before[-1]
    year, month = int(last[-7:-3]), int(last[-2:])
    assert after[0] == f"llm_audit_log_{year + month // 12}_{month % 12 + 1:02}"


MONTHS = r"SELECT relname FROM pg_class WHERE relname ~ '^llm_audit_log_\d{4}_\d\d$' ORDER BY relname"


def test_an_entry_of_a_dropped_month_is_refused_aloud(store: AuditStore, database: Database) -> None:
    late = datetime.now(UTC)
    fetch(database.dsn, f"DROP TABLE llm_audit_log_{late:%Y_%m}")
    with pytest.raises(UnstorableRowError, match="23514"):
        store.write(GROUP, batch([row_of(entry(late))], None, 1))


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Asuncion"])
def test_months_are_those_of_utc_wherever_the_session_is(
    zone: str, store: AuditStore, database: Database
) -> None:
    fetch(database.dsn, f"ALTER DATABASE {database.name} SET timezone = '{zone}'")
    first = row_at(NEXT_YEAR, 9, 1)
    last = row_at(NEXT_YEAR, 9, 30, 23, 59, 59, 999000)
    store.write(GROUP, batch([first, last], None, 2))
    store.close()
    store.create_partitions(date(NEXT_YEAR, 9, 30))
    assert partitions_of(database.dsn) == [f"llm_audit_log_{NEXT_YEAR}_09"] * 2
    assert fetch(database.dsn, f"SELECT to_regclass('llm_audit_log_{NEXT_YEAR}_10')") == [(None,)]


def test_making_months_gives_way_to_a_long_query(store: AuditStore, database: Database) -> None:
    reader = psycopg2.connect(database.dsn)
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM llm_audit_log")
            patient = AuditStore(database.dsn, statement_timeout_ms=60_000)
            with pytest.raises(RetryableStoreError, match="lock timeout"):
                patient.create_partitions(date(NEXT_YEAR, 12, 1))
            assert store.write(GROUP, batch([row_of(entry())], None, 1)) == Written(1, 0, 0)
    finally:
        reader.close()
    assert patient.create_partitions(date(NEXT_YEAR, 12, 1)) > 0
    patient.close()


def test_the_moment_of_an_id_is_the_inverse_of_the_id_of_a_moment(
    store: AuditStore, database: Database
) -> None:
    moments = ["1970-01-01 00:00:00.001", "2026-11-23 12:34:56.789", "2199-12-31 23:59:59.999"]
    for moment in moments:
        asked = f"timestamptz '{moment}+00'"
        found = fetch(database.dsn, f"SELECT llm_audit_moment_of(llm_audit_id_at({asked})) = {asked}")
        assert found == [(True,)], moment
