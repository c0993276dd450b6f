"""When silence is long enough to be looked into: by reason alone."""

from __future__ import annotations

from itertools import pairwise

from llm_audit_producer.sinks.stuck_watch import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, StuckWatch


def due_at(watch: StuckWatch, start: int, end: int, *, waiting: bool = True) -> list[int]:
    return [second for second in range(start, end) if watch.is_due(float(second), waiting=waiting)]


def test_silence_is_looked_into_ever_less_often() -> None:
    watch = StuckWatch()
    first = int(FIRST_WAIT_SECONDS)
    found = due_at(watch, 0, 10_000)
    assert found[:3] == [first, 3 * first, 7 * first]
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert max(gaps) == LONGEST_WAIT_SECONDS


def test_a_report_begins_it_anew() -> None:
    watch = StuckWatch()
    first = int(FIRST_WAIT_SECONDS)
    assert due_at(watch, 0, first + 1) == [first]
    watch.reported()
    assert due_at(watch, 1000, 1000 + first + 1) == [1000 + first]


def test_with_nothing_waiting_there_is_no_silence() -> None:
    watch = StuckWatch()
    assert due_at(watch, 0, 1000, waiting=False) == []
    assert due_at(watch, 1000, 1000 + int(FIRST_WAIT_SECONDS)) == []
