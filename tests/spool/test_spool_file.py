"""A spool file keeps what it took, in order, and remembers how far it came."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llm_audit_producer.spool.errors import SpoolBrokenError
from llm_audit_producer.spool.spool_file import SpoolFile
from llm_audit_schemas import InvalidEntryError
from tests.producer.sinks import entries, full_entry


def test_entries_read_back_equal_and_in_order(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool")
    given = [*entries(20), full_entry()]
    for one in given:
        file.append(one)
    assert [one for _, one in file.read(-1, 100)] == given
    assert [sequence for sequence, _ in file.read(4, 3)] == [5, 6, 7]
    assert file.first() == given[0]
    file.close()


def test_what_was_delivered_is_forgotten_and_the_highest_sequence_is_not(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool", {"service": "tests"})
    given = entries(10)
    for one in given:
        file.append(one)
    assert (file.count, file.bytes > 10 * 100) == (10, True)
    file.forget([one.sequence for one in given])
    file.forget([3])  # told twice
    assert (file.count, file.bytes, file.read(-1, 10), file.last_sequence) == (0, 0, [], 9)
    file.close()
    again = SpoolFile(tmp_path / "a.spool", {"service": "another"})
    assert (again.count, again.last_sequence, again.facts()) == (0, 9, {"service": "tests"})
    again.close(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_opened_again_knows_what_it_holds(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool")
    for one in entries(5):
        file.append(one)
    file.park(2)
    file.park(2)
    before = (file.count, file.bytes, file.parked)
    file.close()
    again = SpoolFile(tmp_path / "a.spool")
    assert (again.count, again.bytes, again.parked) == before == (5, before[1], 1)
    assert [sequence for sequence, _ in again.read(-1, 10)] == [0, 1, 3, 4]
    again.unpark()
    assert (again.parked, [sequence for sequence, _ in again.read(-1, 10)]) == (0, [0, 1, 2, 3, 4])
    again.close()


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool")
    file.append(entries(1)[0])
    assert {path.name: oct(path.stat().st_mode & 0o077) for path in tmp_path.iterdir()} == {
        "a.spool": "0o0",
        "a.spool-wal": "0o0",
        "a.spool-shm": "0o0",
    }
    file.close()


def test_a_file_that_is_no_spool_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(SpoolBrokenError, match=r"a\.spool fails: file is not a database"):
        SpoolFile(path)


def test_a_body_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool")
    given = entries(3)
    for one in given:
        file.append(one)
    with sqlite3.connect(tmp_path / "a.spool") as connection:
        connection.execute("UPDATE entry SET body = x'00ff' WHERE sequence = 1")
    connection.close()
    assert file.read(-1, 10) == [(0, given[0]), (1, None), (2, given[2])]
    file.close()


def test_an_entry_that_the_schema_refuses_is_not_taken(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path / "a.spool")
    with pytest.raises(InvalidEntryError):
        file.append(entries(1, http_status=2**40)[0])
    assert (file.count, file.read(-1, 1)) == (0, [])
    file.close()


@pytest.mark.parametrize(("fsync", "synchronous"), [(False, 0), (True, 2)])
def test_the_disk_is_waited_for_only_where_asked(tmp_path: Path, fsync: bool, synchronous: int) -> None:
    file = SpoolFile(tmp_path / "a.spool", fsync=fsync)
    assert file._writer.execute("PRAGMA synchronous").fetchone() == (synchronous,)
    assert file._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()
