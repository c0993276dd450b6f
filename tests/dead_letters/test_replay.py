"""Dead letters that have become readable are stored exactly once; the others stay."""

from __future__ import annotations

import threading

import pytest

from llm_audit_consumer.dead_letters import reading, replay
from llm_audit_consumer.dead_letters.replay import Replay, Replayed
from llm_audit_consumer.dead_letters.selection import Selection
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import AuditConsumerError
from llm_audit_consumer.store import AuditStore
from tests.consumer.entries import CODEC, new_record
from tests.consumer.tables import Tables
from tests.dead_letters.letters import of_value, put, readable, unstorable
from tests.parts.databases import Database

ALL = Selection()


def run(dsn: str, store: AuditStore, selection: Selection = ALL, *, dry_run: bool = False) -> Replayed:
    with reading.opened(dsn) as database:
        return Replay(database, store, Decoder(CODEC)).run(selection, dry_run=dry_run)


def test_what_is_readable_now_is_stored_and_the_rest_stays_with_the_reason_of_today(
    trail: Database, store: AuditStore, tables: Tables
) -> None:
    good = new_record(sequence=7)
    put(
        store,
        readable(good, offset=0),
        of_value(b"junk", "unknown_schema_id", offset=1),
        readable(unstorable(), offset=2),
        of_value(None, "unknown_schema_id", offset=3),
        readable(good, offset=4),
    )
    came = run(trail.dsn, store)
    assert (came.inserted, came.duplicates) == (1, 1)
    assert dict(came.remaining) == {"not_framed": 1, "unstorable": 1, "empty": 1}
    assert tables.request_ids() == [str(good["request_id"])]
    assert tables.query('SELECT "offset", reason FROM llm_audit_dead_letter ORDER BY 1') == [
        (1, "not_framed"),
        (2, "unstorable"),
        (3, "empty"),
    ]
    again = run(trail.dsn, store)
    assert (again.inserted, again.duplicates, again.remaining.total()) == (0, 0, 3)


def test_what_is_replayed_counts_as_received(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, *(readable(new_record(sequence=number), offset=number) for number in (3, 4, 5)))
    run(trail.dsn, store)
    (found,) = tables.query("SELECT received::text FROM llm_audit_producer")
    assert found == ("{[3,6)}",)


def test_an_entry_that_is_in_the_log_already_is_not_doubled(
    trail: Database, store: AuditStore, tables: Tables
) -> None:
    record = new_record()
    put(store, readable(record))
    assert run(trail.dsn, store).inserted == 1
    put(store, readable(record))
    came = run(trail.dsn, store)
    assert (came.inserted, came.duplicates) == (0, 1)
    assert (tables.row_count(), tables.dead_letter_count()) == (1, 0)


def test_a_dry_run_changes_nothing(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, readable(new_record(), offset=0), of_value(b"junk", "bad_body", offset=1))
    came = run(trail.dsn, store, dry_run=True)
    assert (came.inserted, dict(came.remaining)) == (1, {"not_framed": 1})
    assert tables.row_count() == 0
    assert tables.dead_letter_reasons() == {"unknown_schema_id": 1, "bad_body": 1}


def test_only_the_chosen_are_touched(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, readable(new_record(), "bad_body", offset=0), readable(new_record(), "unstorable", offset=1))
    assert run(trail.dsn, store, Selection(reason="unstorable")).inserted == 1
    assert run(trail.dsn, store, Selection(topic="another")).examined == 0
    assert tables.dead_letter_reasons() == {"bad_body": 1}


@pytest.mark.parametrize(("most", "most_bytes"), [(3, 10**9), (1000, 1)])
def test_many_are_replayed_page_by_page(
    trail: Database,
    store: AuditStore,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    most_bytes: int,
) -> None:
    monkeypatch.setattr(replay, "_PAGE_MESSAGES", most)
    monkeypatch.setattr(replay, "_PAGE_BYTES", most_bytes)
    put(store, *(readable(new_record(), offset=each) for each in range(10)))
    put(store, *(of_value(b"junk", offset=each) for each in range(10, 14)))
    came = run(trail.dsn, store)
    assert (came.inserted, came.examined) == (10, 14)
    assert (tables.row_count(), tables.dead_letter_count()) == (10, 4)


def test_a_failure_between_deleting_and_storing_loses_nothing(
    trail: Database, store: AuditStore, tables: Tables
) -> None:
    put(store, readable(new_record()))
    tables.query("ALTER TABLE llm_audit_producer RENAME TO elsewhere")  # noted after the rows
    with pytest.raises(AuditConsumerError):
        run(trail.dsn, store)
    assert (tables.row_count(), tables.dead_letter_count()) == (0, 1)


def test_two_at_once_store_everything_once(
    trail: Database, store: AuditStore, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read the same dead letters before either stores one."""
    put(store, *(readable(new_record(), offset=each) for each in range(20)))
    put(store, of_value(b"junk", offset=20))
    both_have_read = threading.Barrier(2, timeout=20)

    class Waiting(Decoder):
        waited = False

        def decode(self, *arguments, **settings):  # type: ignore[no-untyped-def]  # whatever the decoder takes
            if not self.waited:
                self.waited = True
                both_have_read.wait()
            return super().decode(*arguments, **settings)

    came: list[Replayed] = []

    def one() -> None:
        other = AuditStore(trail.dsn)
        with reading.opened(trail.dsn) as database:
            came.append(Replay(database, other, Waiting(CODEC)).run(ALL, dry_run=False))
        other.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(each.inserted for each in came) == [0, 20]
    assert sum(each.duplicates for each in came) == 0
    assert [each.remaining.total() for each in came] == [1, 1]
    assert (tables.row_count(), tables.dead_letter_count()) == (20, 1)
