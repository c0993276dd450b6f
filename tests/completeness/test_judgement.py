"""What is said of a producer, by reason alone: no database, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from llm_audit_consumer.completeness.judgement import Judged, ProducerLife, Reading, Verdict, count, judge
from llm_audit_consumer.completeness.ranges import HIGHEST_SEQUENCE, gaps, parsed, ranges_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
PRODUCER = UUID("00000000-0000-4000-8000-000000000001")
OTHER = UUID("00000000-0000-4000-8000-000000000002")
SECOND = timedelta(seconds=1)

sequences = st.lists(st.integers(0, 60), max_size=80)


def runs_of(numbers: list[int]) -> list[tuple[int, int]]:
    return [(each.first, each.last) for each in ranges_of((PRODUCER, number) for number in numbers)]


def judged(
    arrived: list[int],
    *,
    last_sequence: int = -1,
    claimed: timedelta = -300 * SECOND,
    ended: bool = False,
    sign: timedelta = -SECOND,
    entries_through: datetime | None = NOON,
    markers_through: datetime | None = NOON,
) -> Judged:
    runs = runs_of(arrived)
    return judge(
        ProducerLife(
            arrived=runs,
            last_sequence=last_sequence,
            claimed_at=NOON + claimed if last_sequence >= 0 else None,
            ended=ended,
            last_sign_at=NOON + sign,
        ),
        Reading(entries_through=entries_through, markers_through=markers_through),
        gaps(runs),
    )


@given(sequences)
def test_runs_and_gaps_are_exactly_the_numbers(numbers: list[int]) -> None:
    runs = runs_of(numbers)
    inside = {number for first, last in runs for number in range(first, last + 1)}
    missing = {number for first, last in gaps(runs) for number in range(first, last + 1)}
    assert inside == set(numbers)
    assert missing == set(range(max(numbers, default=-1) + 1)) - set(numbers)
    assert all(one[1] + 1 < other[0] for one, other in pairwise(runs))  # as few as can be


@given(sequences)
def test_postgresqls_own_words_are_read_back(numbers: list[int]) -> None:
    runs = runs_of(numbers)
    assert parsed("{" + ",".join(f"[{first},{last + 1})" for first, last in runs) + "}") == runs


def test_producers_are_kept_apart_and_impossible_numbers_left_out() -> None:
    found = ranges_of([(PRODUCER, 1), (OTHER, 2), (PRODUCER, 2), (PRODUCER, -5), (OTHER, HIGHEST_SEQUENCE)])
    assert sorted(found) == [(PRODUCER, 1, 2), (OTHER, 2, 2)]


@given(sequences, st.integers(-1, 70), st.booleans(), st.booleans(), st.booleans())
def test_complete_is_said_only_of_what_is_whole(
    numbers: list[int], last: int, ended: bool, due: bool, silent: bool
) -> None:
    found = judged(
        numbers,
        last_sequence=last,
        claimed=-300 * SECOND if due else -SECOND,
        ended=ended,
        sign=-600 * SECOND if silent else -SECOND,
    )
    known_of = set(range(max([last, *numbers]) + 1))
    assert (found.verdict is Verdict.COMPLETE) == (ended and known_of <= set(numbers))
    assert count(found.missing) + count(found.late) == len(known_of - set(numbers))
    assert (found.verdict is Verdict.MISSING) == (found.missing_count > 0)
    assert (found.unknown_after is not None) == (silent and not ended)
    if found.unknown_after is not None:
        assert found.unknown_after == max([last, *numbers], default=-1)


def test_a_hole_below_what_arrived_is_lost_though_the_producer_runs() -> None:
    found = judged([0, 1, 4], last_sequence=4, claimed=-SECOND)
    assert (found.verdict, found.missing, found.late) == (Verdict.MISSING, [(2, 3)], [])


def test_a_claim_is_late_until_reading_is_well_past_it() -> None:
    recent = judged([0, 1], last_sequence=5, claimed=-59 * SECOND)
    assert (recent.verdict, recent.late, recent.missing) == (Verdict.LATE, [(2, 5)], [])
    old = judged([0, 1], last_sequence=5, claimed=-60 * SECOND)
    assert (old.verdict, old.late, old.missing) == (Verdict.MISSING, [], [(2, 5)])


def test_a_consumer_that_lags_calls_nothing_missing_that_it_may_not_have_read() -> None:
    behind = judged([0, 1], last_sequence=5, entries_through=NOON - timedelta(hours=1))
    assert (behind.verdict, behind.late) == (Verdict.LATE, [(2, 5)])
    unknown = judged([0, 1], last_sequence=5, entries_through=None)
    assert unknown.verdict is Verdict.LATE


def test_silence_is_an_unknown_tail_only_as_far_as_both_topics_were_read() -> None:
    silent = judged([0, 1], sign=-120 * SECOND)
    assert (silent.verdict, silent.unknown_after) == (Verdict.UNKNOWN_TAIL, 1)
    assert judged([0, 1], sign=-119 * SECOND).verdict is Verdict.RUNNING
    for unread in (NOON - timedelta(minutes=5), None):
        assert judged([0, 1], sign=-120 * SECOND, markers_through=unread).verdict is Verdict.RUNNING
        assert judged([0, 1], sign=-120 * SECOND, entries_through=unread).verdict is Verdict.RUNNING


def test_a_producer_that_only_ever_said_it_started_may_have_made_anything() -> None:
    assert judged([], sign=-600 * SECOND).unknown_after == -1
