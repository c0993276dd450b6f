"""What the spool promises while its process lives: order, bounds, nothing dropped that a destination refuses."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from llm_audit_producer import MemorySink
from llm_audit_producer.errors import SinkError
from llm_audit_producer.spool import drain as drain_module
from llm_audit_producer.spool import source as source_module
from tests.producer.sinks import Ledger, entries
from tests.spool.parts import HangingSink, RefusingSink, spool_files, spooling, until


def test_appending_does_not_wait_for_the_destination_and_nothing_is_out_of_order(tmp_path: Path) -> None:
    behind, ledger = HangingSink(), Ledger()
    sink = spooling(behind, tmp_path)
    sink.open(ledger)
    given = entries(5000)
    for one in given:
        sink.append(one)
    assert ledger.spooled_ids == [one.request_id for one in given]
    assert (ledger.delivered_count, sink.state().entries) == (0, 5000)
    behind.let_go.set()
    assert sink.flush(60) == 0
    assert list(behind.entries) == given
    assert sink.close(10) == 0
    assert (ledger.delivered_count, ledger.lost_ids, ledger.left_count) == (5000, [], 0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_delivered_at_the_end_stays_and_the_next_process_delivers_it_once(tmp_path: Path) -> None:
    behind, ledger = HangingSink(), Ledger()
    sink = spooling(behind, tmp_path)
    sink.open(ledger)
    given = entries(300)
    for one in given:
        sink.append(one)
    assert sink.flush(0.1) == 300
    sink.close(0.2)
    assert (ledger.left_count, ledger.delivered_count, ledger.lost_ids) == (300, 0, [])

    then = RefusingSink(lambda _entry: None)
    successor = spooling(then, tmp_path)
    successor.open(Ledger())
    until(lambda: not spool_files(tmp_path), "the spool is adopted")
    assert list(then.entries) == given
    (ended,) = then.marks
    assert (ended.kind, ended.producer_id, ended.last_sequence) == ("ended", given[0].producer_id, 299)
    assert (ended.details or {})["unclean"] is True
    assert (ended.host, ended.process_id, ended.service) == (None, None, "tests")
    assert successor.state().adopted == len(then.entries)
    successor.close(10)


def test_a_full_spool_takes_nothing_new_and_keeps_what_it_has(tmp_path: Path) -> None:
    behind, ledger = HangingSink(), Ledger()
    sink = spooling(behind, tmp_path, maximum_bytes=20_000)
    sink.open(ledger)
    given = entries(1000)
    refusal = None
    while refusal is None:
        try:
            sink.append(given[len(ledger.spooled_ids)])
        except SinkError as error:
            refusal = error
    assert (refusal.reason, "raise spool_bytes" in str(refusal)) == ("spool_full", True)
    taken = len(ledger.spooled_ids)
    assert 10 < taken < 200
    behind.let_go.set()
    assert sink.flush(30) == 0
    sink.append(given[-1])  # there is room again
    assert sink.close(30) == 0
    assert list(behind.entries) == [*given[:taken], given[-1]]


def test_the_bound_counts_the_spools_of_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_ADOPT_SECONDS", 0.01)
    first = spooling(HangingSink(), tmp_path)
    first.open(Ledger())
    for one in entries(200):
        first.append(one)
    second = spooling(HangingSink(), tmp_path, maximum_bytes=20_000)
    second.open(Ledger())

    def refused() -> bool:
        try:
            second.append(next(more))
        except SinkError as error:
            return error.reason == "spool_full"
        return False

    more = iter(entries(40))  # far fewer than would fill it alone
    until(refused, "the other process's file counts", 20)
    first.close(0)
    second.close(0)


def test_an_entry_that_is_refused_for_what_it_is_does_not_hold_up_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    behind, ledger = RefusingSink(lambda entry: "too_large" if entry.sequence == 3 else None), Ledger()
    sink = spooling(behind, tmp_path)
    sink.open(ledger)
    given = entries(10)
    for one in given:
        sink.append(one)
    assert sink.flush(30) == 0
    assert [one.sequence for one in behind.entries] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    sink.close(10)
    assert (ledger.left_count, ledger.lost_ids) == (1, [])
    assert "put aside" in caplog.text

    then = MemorySink()
    successor = spooling(then, tmp_path)
    successor.open(Ledger())
    until(lambda: not spool_files(tmp_path), "what was put aside is tried again by the next process")
    assert list(then.entries) == [given[3]]
    successor.close(10)


def test_a_destination_that_refuses_everything_is_tried_again_from_where_it_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(source_module, "_FIRST_WAIT_SECONDS", 0.05)
    there = {"topic": False}
    behind = RefusingSink(lambda entry: None if there["topic"] or entry.sequence < 4 else "refused")
    ledger, sink = Ledger(), spooling(behind, tmp_path)
    sink.open(ledger)
    given = entries(50)
    with caplog.at_level(logging.WARNING):
        for one in given:
            sink.append(one)
        until(lambda: behind.refused.count(4) >= 3, "tried again")
    assert set(behind.refused) == {4}  # those behind it wait, so that order holds
    there["topic"] = True
    assert sink.flush(30) == 0
    assert list(behind.entries) == given
    assert (ledger.lost_ids, ledger.delivered_count) == ([], 50)
    assert "tried again in" in caplog.text
    sink.close(10)


def test_a_sink_that_breaks_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "_FIRST_WAIT_SECONDS", 0.05)

    class Breaking(MemorySink):
        broke = 0

        def append(self, entry: object) -> None:
            if self.broke < 3:
                self.broke += 1
                raise RuntimeError("broken")
            super().append(entry)  # type: ignore[arg-type]  # an entry

    behind, ledger = Breaking(), Ledger()
    sink = spooling(behind, tmp_path)
    sink.open(ledger)
    given = entries(20)
    for one in given:
        sink.append(one)
    assert sink.flush(30) == 0
    assert list(behind.entries) == given
    sink.close(10)


def test_a_disk_that_takes_nothing_costs_no_entry_while_the_destination_does(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("no directory")
    behind, ledger = MemorySink(), Ledger()
    sink = spooling(behind, blocked / "spool")
    sink.open(ledger)
    given = entries(30)
    for one in given:
        sink.append(one)
    assert sink.flush(30) == 0
    assert sink.close(10) == 0
    assert list(behind.entries) == given
    assert (ledger.spooled_ids, ledger.delivered_count) == ([], 30)


def test_neither_disk_nor_destination_is_a_loss_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "_DETOUR_ENTRIES", 5)
    blocked = tmp_path / "a file"
    blocked.write_text("no directory")
    sink = spooling(HangingSink(), blocked / "spool")
    sink.open(Ledger())
    given = entries(6)
    for one in given[:5]:
        sink.append(one)
    with pytest.raises(SinkError, match="spool directory") as refusal:
        sink.append(given[5])
    assert refusal.value.reason == "spool_broken"
    sink.close(0.1)
