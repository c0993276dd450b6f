"""A batch with its dead letters and offsets: all of it or nothing, and once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_audit_consumer.batch import DecodedBatch, OffsetAdvance, Partition, Written
from llm_audit_consumer.errors import OffsetConflictError
from llm_audit_consumer.store import AuditStore
from tests.parts.databases import Database
from tests.store.rows import GROUP, PARTITION, batch, count, dead_letter, entry, fetch, row_of


def test_the_same_entry_is_stored_once(store: AuditStore, database: Database) -> None:
    rows = [row_of(entry()) for _ in range(3)]
    assert store.write(GROUP, batch([*rows, rows[0]], None, 4)) == Written(3, 1, 0)
    assert store.write(GROUP, batch([rows[1], row_of(entry())], 4, 6)) == Written(1, 1, 0)
    assert count(database.dsn) == 4
    assert store.next_offsets(GROUP, "topic-id") == {0: 6}
    assert store.next_offsets("another", "topic-id") == {}


def test_the_first_of_two_entries_with_one_id_stays(store: AuditStore, database: Database) -> None:
    first = entry(user_id="first")
    store.write(GROUP, batch([row_of(first)], None, 1))
    changed = {**row_of(first), "user_id": "second"}
    assert store.write(GROUP, batch([changed], 1, 2)) == Written(0, 1, 0)
    assert fetch(database.dsn, "SELECT user_id FROM llm_audit_log") == [("first",)]


def test_a_batch_of_nothing_but_offsets_moves_them(store: AuditStore) -> None:
    assert store.write(GROUP, batch([], None, 3)) == Written(0, 0, 0)
    assert store.write(GROUP, batch([], 3, 9)) == Written(0, 0, 0)
    assert store.next_offsets(GROUP, "topic-id") == {0: 9}


def test_two_stores_that_write_the_same_rows_store_them_once(store: AuditStore, database: Database) -> None:
    rows = [row_of(entry()) for _ in range(2000)]
    stores = [AuditStore(database.dsn) for _ in range(3)]

    def write(number: int) -> Written:
        return stores[number].write(f"group-{number}", batch(rows[:: 1 if number else -1], None, 2000))

    with ThreadPoolExecutor(3) as writers:
        written = list(writers.map(write, range(3)))
    for each in stores:
        each.close()
    assert sum(each.inserted for each in written) == count(database.dsn) == 2000
    assert sum(each.duplicates for each in written) == 4000


@pytest.mark.parametrize("expected", [None, 4, 6])
def test_a_zombies_batch_rolls_back_whole(
    expected: int | None, store: AuditStore, database: Database
) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 5))
    with pytest.raises(OffsetConflictError, match="offset 5, expected"):
        store.write(GROUP, batch([row_of(entry())], expected, 7, bad=[dead_letter(6)]))
    assert count(database.dsn) == 1
    assert count(database.dsn, "llm_audit_dead_letter") == 0
    assert store.next_offsets(GROUP, "topic-id") == {0: 5}
    assert store.write(GROUP, batch([row_of(entry())], 5, 6)) == Written(1, 0, 0)


def test_a_conflict_on_one_partition_rolls_back_the_others_too(store: AuditStore, database: Database) -> None:
    other = Partition("topic-id", "topic", 1)
    store.write(GROUP, batch([], None, 5))
    both = [OffsetAdvance(other, None, 8), OffsetAdvance(PARTITION, 4, 6)]
    with pytest.raises(OffsetConflictError, match="partition 0 of topic stands at offset 5, expected 4"):
        store.write(GROUP, DecodedBatch([row_of(entry())], [], both))
    assert count(database.dsn) == 0
    assert store.next_offsets(GROUP, "topic-id") == {0: 5}


def test_where_no_offset_is_stored_none_is_advanced(store: AuditStore, database: Database) -> None:
    with pytest.raises(OffsetConflictError, match="stands at offset None, expected 4"):
        store.write(GROUP, batch([row_of(entry())], 4, 5))
    assert count(database.dsn) == 0
    assert store.next_offsets(GROUP, "topic-id") == {}


def test_of_several_that_take_the_first_offset_one_gets_it(store: AuditStore, database: Database) -> None:
    stores = [AuditStore(database.dsn) for _ in range(4)]

    def write(one: AuditStore) -> int:
        try:
            return one.write(GROUP, batch([row_of(entry())], None, 1)).inserted
        except OffsetConflictError:
            return 0

    with ThreadPoolExecutor(4) as writers:
        inserted = list(writers.map(write, stores))
    for each in stores:
        each.close()
    assert sorted(inserted) == [0, 0, 0, 1]
    assert count(database.dsn) == 1


def test_a_topic_made_again_starts_anew(store: AuditStore) -> None:
    again = Partition("another-topic-id", "topic", 0)
    store.write(GROUP, batch([], None, 5))
    store.write(GROUP, DecodedBatch([], [], [OffsetAdvance(again, None, 2)]))
    assert store.next_offsets(GROUP, "topic-id") == {0: 5}
    assert store.next_offsets(GROUP, "another-topic-id") == {0: 2}


def test_a_dead_letter_is_kept_whole_and_once(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([], None, 8, bad=[dead_letter(7)]))
    store.write("another group", batch([], None, 8, bad=[dead_letter(7)]))
    ((reason, detail, key, value, identity),) = fetch(
        database.dsn, "SELECT reason, detail, key, value, identity FROM llm_audit_dead_letter"
    )
    assert (reason, detail, identity) == ("bad_body", "cannot\N{SYMBOL FOR NULL} decode", None)
    assert (bytes(key), bytes(value)) == (b"key\x00", b"\x00\xff garbage \\x")


def test_the_same_dead_letter_twice_in_one_batch_is_kept_once(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([], None, 8, bad=[dead_letter(7), dead_letter(7), dead_letter(6)]))
    assert count(database.dsn, "llm_audit_dead_letter") == 2


def test_a_dead_letter_without_key_and_value_is_kept(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([], None, 8, bad=[dead_letter(7, None)]))
    assert fetch(database.dsn, "SELECT value IS NULL FROM llm_audit_dead_letter") == [(True,)]
