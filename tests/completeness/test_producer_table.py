"""What PostgreSQL keeps of producers: the same whatever comes twice, late or at the same time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from llm_audit_consumer.batch import DecodedBatch, OffsetAdvance, Partition
from llm_audit_consumer.cli.group import cli
from llm_audit_consumer.completeness.ranges import SequenceRange, ranges_of
from llm_audit_consumer.errors import OffsetConflictError
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.postgres import Database as Connection
from llm_audit_consumer.store.producer_store import note_markers
from llm_audit_schemas import ProducerMarker, topics
from tests.parts.databases import Database
from tests.store.rows import entry, fetch, row_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
GROUP = "llm-audit"


@pytest.fixture
def store(database: Database) -> Iterator[AuditStore]:
    migrate(database.dsn)
    store = AuditStore(database.dsn)
    yield store
    store.close()


def received(store: AuditStore, ranges: list[SequenceRange], offset: int, partition: int = 0) -> None:
    place = Partition("topic-id", topics.ENTRIES, partition)
    expected = None if offset == 0 else offset
    store.write(GROUP, DecodedBatch([], [], [OffsetAdvance(place, expected, offset + 1)], ranges))


def marker(producer_id: UUID, kind: str, last_sequence: int, **changes: Any) -> ProducerMarker:
    return ProducerMarker(
        **{
            "producer_id": str(producer_id),
            "kind": kind,
            "timestamp": NOON,
            "last_sequence": last_sequence,
            "delivery_mode": "memory",
            "library_version": "test",
            **changes,
        }
    )


def mark(database: Database, *marked: tuple[ProducerMarker, datetime]) -> None:
    with closing(Connection(database.dsn, application_name="test")) as connection, connection.transaction():
        note_markers(connection, marked)


def read_through(store: AuditStore, moment: datetime) -> None:
    store.note_progress(
        GROUP, {Partition("e", topics.ENTRIES, 0): moment, Partition("m", topics.MARKERS, 0): moment}
    )


def ask(database: Database, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(cli, ["completeness", "--dsn", database.dsn, "--json", *arguments])
    assert result.exit_code in (0, 1), result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, answer


def table_of(database: Database, producer_id: UUID) -> tuple[Any, ...]:
    (row,) = fetch(
        database.dsn,
        "SELECT received::text, last_sequence, claimed_at, heartbeat_at, ended_at, dropped, complete, unclean "
        f"FROM llm_audit_producer WHERE producer_id = '{producer_id}'",
    )
    return row


def test_what_arrives_in_pieces_and_twice_becomes_one_run(store: AuditStore, database: Database) -> None:
    producer = uuid4()
    received(store, ranges_of((producer, number) for number in (0, 1, 2, 7)), 0)
    received(store, ranges_of((producer, number) for number in (2, 3, 4)), 1)
    assert table_of(database, producer)[0] == "{[0,5),[7,8)}"
    received(store, ranges_of((producer, number) for number in (5, 6, 0)), 2)
    assert table_of(database, producer)[0] == "{[0,8)}"


def test_a_batch_that_rolls_back_brought_nothing(store: AuditStore, database: Database) -> None:
    producer = uuid4()
    received(store, [SequenceRange(producer, 0, 4)], 0)
    with pytest.raises(OffsetConflictError):
        received(store, [SequenceRange(producer, 5, 9)], 7)
    assert table_of(database, producer)[0] == "{[0,5)}"


def test_a_row_that_is_a_duplicate_counts_as_arrived(store: AuditStore, database: Database) -> None:
    """A batch's result that two processes read has one row, and a sequence of each."""
    first, second = uuid4(), uuid4()
    one = entry(producer_id=str(first))
    for number, producer in enumerate((first, second)):
        row = {**row_of(one), "producer_id": producer}
        place = Partition("topic-id", topics.ENTRIES, 0)
        advance = OffsetAdvance(place, number or None, number + 1)
        store.write(GROUP, DecodedBatch([row], [], [advance], ranges_of([(producer, 0)])))
    assert [table_of(database, each)[0] for each in (first, second)] == ["{[0,1)}", "{[0,1)}"]
    assert fetch(database.dsn, "SELECT count(*) FROM llm_audit_log") == [(1,)]


def test_markers_only_ever_go_forward(store: AuditStore, database: Database) -> None:
    producer = uuid4()
    moments = [NOON + timedelta(seconds=15 * number) for number in range(5)]
    lives = [
        (marker(producer, "started", 0), moments[0]),
        (marker(producer, "heartbeat", 10, dropped=1), moments[1]),
        (marker(producer, "heartbeat", 10, dropped=2), moments[2]),
        (marker(producer, "ended", 12, dropped=2), moments[3]),
    ]
    for order in (lives, lives, list(reversed(lives))):  # again, and late
        mark(database, *order)
    assert table_of(database, producer)[1:7] == (12, moments[3], moments[3], moments[3], 2, False)
    received(store, [SequenceRange(producer, 0, 12)], 0)
    assert table_of(database, producer)[6] is True


def test_a_claim_keeps_the_time_when_it_was_first_made(store: AuditStore, database: Database) -> None:
    producer = uuid4()
    for number in range(4):
        mark(database, (marker(producer, "heartbeat", 10), NOON + timedelta(seconds=15 * number)))
    _, last_sequence, claimed_at, heartbeat_at, *_ = table_of(database, producer)
    assert (last_sequence, claimed_at, heartbeat_at) == (10, NOON, NOON + timedelta(seconds=45))


def test_consumers_that_bring_the_same_producers_do_not_wait_in_a_circle(
    store: AuditStore, database: Database
) -> None:
    producers = [uuid4() for _ in range(200)]
    failures: list[Exception] = []

    def bring(partition: int, order: int) -> None:
        mine = AuditStore(database.dsn)
        try:
            for number in range(20):
                ranges = [
                    SequenceRange(each, number * 2 + partition, number * 2 + partition) for each in producers
                ]
                received(mine, ranges[::order], number, partition)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)
        finally:
            mine.close()

    threads = [
        threading.Thread(target=bring, args=(partition, order)) for partition, order in ((0, 1), (1, -1))
    ]
    for each in threads:
        each.start()
    for number in range(20):
        mark(database, *((marker(each, "heartbeat", number), NOON) for each in reversed(producers)))
    for each in threads:
        each.join(60)
    assert failures == []
    assert {table_of(database, each)[0] for each in producers} == {"{[0,40)}"}


def test_the_command_says_who_lacks_what(store: AuditStore, database: Database) -> None:
    whole, holed, killed, adopted = (uuid4() for _ in range(4))
    received(
        store,
        [
            SequenceRange(whole, 0, 9),
            SequenceRange(holed, 0, 3),
            SequenceRange(holed, 6, 9),
            SequenceRange(killed, 0, 9),
            SequenceRange(adopted, 0, 9),
        ],
        0,
    )
    now = datetime.now(UTC)
    mark(
        database,
        (marker(whole, "ended", 9, service="shop"), now),
        (marker(holed, "ended", 11, dropped=1), now),
        (marker(killed, "heartbeat", 9), now),
        (marker(adopted, "ended", 9, details={"unclean": True}), now),
    )
    code, answer = ask(database)
    assert (code, answer["summary"]["complete"], answer["summary"]["entries_read_through"]) == (
        1,
        False,
        None,
    )

    read_through(store, now + timedelta(hours=1))
    code, answer = ask(database)
    said = {each["producer_id"]: each for each in answer["producers"]}
    assert code == 1
    assert set(said) == {str(holed), str(killed)}
    assert said[str(holed)]["missing"] == [[4, 5], [10, 11]]
    assert (said[str(holed)]["missing_count"], said[str(holed)]["dropped_by_producer"]) == (4, 1)
    assert (said[str(killed)]["verdict"], said[str(killed)]["unknown_after"]) == ("unknown_tail", 9)
    assert answer["summary"]["missing"] == 4
    assert answer["summary"]["explained"] == 1
    assert answer["summary"]["verdicts"] == {
        "missing": 1,
        "unknown_tail": 1,
        "late": 0,
        "running": 0,
        "complete": 2,
    }

    code, answer = ask(database, "--producer", str(whole))
    assert (code, [each["verdict"] for each in answer["producers"]]) == (0, ["complete"])
    assert ask(database, "--all")[1]["summary"]["verdicts"]["complete"] == 2
    assert ask(database, "--since", "last 24h")[1]["summary"]["missing"] == 4

    table = CliRunner().invoke(cli, ["completeness", "--dsn", database.dsn])
    assert (table.exit_code, "Not complete: 4 missing (1 of them explained)" in table.stdout) == (1, True)
    assert "4-5, 10-11" in " ".join(table.stdout.split())
    assert "unknown after 9" in " ".join(table.stdout.split())


def test_missing_entries_that_lie_in_the_dead_letters_are_explained(
    store: AuditStore, database: Database
) -> None:
    producer = uuid4()
    received(store, [SequenceRange(producer, 0, 1), SequenceRange(producer, 3, 3)], 0)
    fetch(
        database.dsn,
        'INSERT INTO llm_audit_dead_letter (topic_id, partition, "offset", topic, consumer_group, reason, detail, '
        f"message_timestamp, key) VALUES ('t', 0, 1, 't', 'g', 'bad_body', '', now(), '{producer}'::text::bytea)",
    )
    read_through(store, datetime.now(UTC))
    _, answer = ask(database)
    assert [(each["missing"], each["dead_letters"]) for each in answer["producers"]] == [([[2, 2]], 1)]
    assert answer["summary"]["explained"] == 1


def test_it_scales_to_thousands_of_producers(store: AuditStore, database: Database) -> None:
    """A batch that brings something of 5,000 producers is one statement; the answer streams."""
    producers = [uuid4() for _ in range(5000)]
    for number in range(3):
        received(store, [SequenceRange(each, number * 10, number * 10 + 9) for each in producers], number)
    mark(database, *((marker(each, "heartbeat", 29), datetime.now(UTC)) for each in producers))
    read_through(store, datetime.now(UTC) - timedelta(minutes=1))
    code, answer = ask(database)
    assert (code, len(answer["producers"])) == (0, 5000)
    assert answer["summary"]["verdicts"]["running"] == 5000


def test_flags_that_make_no_sense_are_refused(database: Database, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["completeness", "--dsn", database.dsn, "--producer", "x"])
    assert (result.exit_code, "not a valid UUID" in result.output) == (2, True)
