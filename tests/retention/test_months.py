"""Whole months: dropped without a moment at which an entry would be refused or the consumer locked out."""

from __future__ import annotations

import random
import threading
from contextlib import closing
from datetime import date, datetime

import psycopg2
import pytest

from llm_audit_consumer.batch import DecodedBatch, OffsetAdvance, Written
from llm_audit_consumer.retention.planning import DELETE_ROWS, DROP_MONTH
from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.retention.running import Outcome
from llm_audit_consumer.store import AuditStore
from llm_audit_schemas import AuditEntry
from tests.retention.log import Log, moment
from tests.retention.trail import entry_at, expected, rows_of, stored
from tests.store.rows import PARTITION, partitions_of

YEAR = datetime.now().year + 1  # noqa: DTZ005 - the year after the migration's months
OLD = f"llm_audit_log_{YEAR}_02"


BOUND = "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = 'llm_audit_before_bound'"


def log_months(outcome: Outcome) -> list[str]:
    """The months it dropped, without those of the content."""
    return [name for name in outcome.months if name.startswith("llm_audit_log_")]


def some(at: datetime, name: str = "standard", count: int = 3) -> list[AuditEntry]:
    chance = random.Random(f"{at}{name}")
    return [entry_at(at, name, chance) for _ in range(count)]


def test_the_oldest_months_go_and_the_space_before_grows_over_them(log: Log, policies: Policies) -> None:
    log.months_until(date(YEAR, 6, 1))
    log.write(some(moment(YEAR, 2)) + some(moment(YEAR, 3)))
    outcome = log.apply(policies, moment(YEAR + 2, 3))
    assert outcome.months[-1] == OLD
    assert log.months()[0] == f"llm_audit_log_{YEAR}_03"
    assert (outcome.rows[DROP_MONTH], len(stored(log.dsn))) == (3, 3)
    late = some(moment(YEAR, 2), count=2) + some(moment(YEAR, 1), count=1)
    assert log.write(late) == 3
    assert partitions_of(log.dsn)[:3] == ["llm_audit_log_before"] * 3
    assert log.write(late) == 0
    log.months_until(date(YEAR + 2, 5, 1))
    assert log.apply(policies, moment(YEAR + 2, 3)).rows == {DELETE_ROWS: 3}


def test_a_month_behind_one_that_stays_leaves_an_empty_one(log: Log, policies: Policies) -> None:
    log.months_until(date(YEAR, 6, 1))
    log.write(some(moment(YEAR, 1), "hipaa") + some(moment(YEAR, 2)) + some(moment(YEAR, 3)))
    outcome = log.apply(policies, moment(YEAR + 2, 3))
    assert outcome.months[-1] == OLD
    assert {f"llm_audit_log_{YEAR}_01", OLD} <= set(log.months())
    assert log.write(some(moment(YEAR, 2, 3), "hipaa")) == 3
    assert partitions_of(log.dsn).count(OLD) == 3
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        log.query(f"TRUNCATE {OLD}")
    # Years later nothing stays behind them, and months go on where they ended.
    log.apply(policies, moment(YEAR + 7, 1))
    assert (stored(log.dsn), log.months()) == ({}, [])
    assert log.write(some(moment(YEAR, 2, 4))) == 3
    log.months_until(date(YEAR, 8, 1))
    assert log.months() == [f"llm_audit_log_{YEAR}_07", f"llm_audit_log_{YEAR}_08"]


def test_a_month_with_anything_that_stays_is_not_dropped(log: Log, policies: Policies) -> None:
    log.write(some(moment(YEAR, 1)) + some(moment(YEAR, 1), "nobody-knows", 1))
    outcome = log.apply(policies, moment(YEAR + 3, 1))
    assert outcome.rows == {DROP_MONTH: 0, DELETE_ROWS: 3}
    assert outcome.plan.without_policy == ("nobody-knows",)
    assert [row["retention_class"] for row in stored(log.dsn).values()] == ["nobody-knows"]


def test_an_entry_that_comes_while_its_month_goes_stays_if_it_must(log: Log, policies: Policies) -> None:
    log.write(some(moment(YEAR, 1)))
    late = some(moment(YEAR, 1, 20), "hipaa", 1)

    def checkpoint(name: str) -> None:
        if name == "validated" and not stored_of("hipaa", log):
            log.write(late)

    outcome = log.apply(policies, moment(YEAR + 3, 1), checkpoint=checkpoint)
    assert (outcome.rows[DROP_MONTH], len(stored(log.dsn))) == (3, 1)
    assert log.write(late) == 0


def stored_of(name: str, log: Log) -> list[str]:
    return [row["request_id"] for row in stored(log.dsn).values() if row["retention_class"] == name]


def test_a_long_query_puts_a_month_off_and_the_consumer_goes_on(log: Log, policies: Policies) -> None:
    log.write(some(moment(YEAR, 1)))
    reader = psycopg2.connect(log.dsn)
    try:
        with reader.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM llm_audit_log")
            outcome = log.apply(policies, moment(YEAR + 3, 1))
            assert [step.action for step in outcome.postponed] == [DROP_MONTH] * len(outcome.postponed)
            assert f"llm_audit_log_{YEAR}_01" in {step.partition.name for step in outcome.postponed}
            assert (len(stored(log.dsn)), log_months(outcome)) == (3, [])
            assert log.write(some(moment(YEAR, 1, 16))) == 3
    finally:
        reader.close()
    log.apply(policies, moment(YEAR + 3, 1))
    assert stored(log.dsn) == {}


def test_entries_come_in_all_the_while(log: Log, policies: Policies) -> None:
    """A consumer writes to every month, old and new, while months are dropped and columns cleared."""
    months = [moment(YEAR, month) for month in range(1, 7)]
    log.months_until(date(YEAR, 6, 1))
    log.write([each for at in months for name in ("standard", "gdpr") for each in some(at, name, 20)])
    stop, written = threading.Event(), list[AuditEntry]()
    failed = list[BaseException]()

    def consume() -> None:
        chance, offset = random.Random(5), 0
        try:
            with closing(AuditStore(log.dsn)) as store:
                while not stop.is_set():
                    entries = [entry_at(at, "hipaa", chance) for at in months]
                    advance = OffsetAdvance(PARTITION, offset or None, offset + len(entries))
                    found = store.write("other", DecodedBatch(rows_of(entries), [], [advance]))
                    assert found == Written(len(entries), 0, 0)
                    offset += len(entries)
                    written.extend(entries)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    before = stored(log.dsn)
    consumer = threading.Thread(target=consume)
    consumer.start()
    for month in range(1, 13):
        log.apply(policies, moment(YEAR + 2, month))
    stop.set()
    consumer.join(30)
    assert not failed, failed
    assert len(written) > 0
    ours = {key: row for key, row in stored(log.dsn).items() if key in before}
    assert ours == expected(log.dsn, before, moment(YEAR + 2, 12))
    assert set(stored(log.dsn)) - set(before) == {each.request_id for each in written}


def test_widening_reads_nothing_of_what_lies_before(log: Log, policies: Policies) -> None:
    """However much an import put there: the CHECK that is validated beforehand spares the scan under the lock."""
    log.write(some(moment(2001, 1), "forever", 50) + some(moment(YEAR, 1)))
    said = list[str]()

    def checkpoint(name: str) -> None:
        if name != "validated" or said or log.query(BOUND) != [("llm_audit_log_before",)]:
            return
        connection = psycopg2.connect(log.dsn)
        with connection.cursor() as cursor:
            cursor.execute("SET client_min_messages = debug1")
            first = log.months()[0].removeprefix("llm_audit_log_").replace("_", "-")
            cursor.execute("SELECT llm_audit_retire_month('llm_audit_log', %s)", (f"{first}-01",))
        said.extend(connection.notices)
        connection.rollback()
        connection.close()

    log.apply(policies, moment(YEAR + 3, 1), checkpoint=checkpoint)
    assert any("implied by existing constraints" in line for line in said), said
    assert log.query(BOUND) == []
