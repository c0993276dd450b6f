"""The judgement: what is missing of a producer's entries, what may still come, what nobody can know. No I/O, no clock.

Order within a producer holds on the topic, so a number that is missing below one that has arrived is lost (or lies in
the dead letters, or in a spool that put it aside), and not merely late. Above the highest one that has arrived, a
number that the producer claims to have used is late until the consumer has read well past the moment of the claim.
After a life that never said it ended, entries may be missing that nobody ever heard of: an unknown tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """What can be said of a producer; the gravest that holds."""

    MISSING = "missing"
    """Entries that were made are not there."""
    UNKNOWN_TAIL = "unknown_tail"
    """It never said that it ended: what it did after its last sign is not known."""
    LATE = "late"
    """Entries that were made are not there yet, and may still come."""
    RUNNING = "running"
    """Everything that is known of has arrived, and more may be made."""
    COMPLETE = "complete"
    """It ended, and everything has arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerLife:
    """What is known of a producer.

    Attributes:
        arrived: Runs of sequences that have arrived, ascending, both ends included.
        last_sequence: Highest one it claims to have used; -1 for none.
        claimed_at: When it first claimed so.
        ended: Whether it said that it ended, or another process said so when its spool was empty.
        last_sign_at: When anything was last heard of it.
    """

    arrived: Sequence[tuple[int, int]]
    last_sequence: int
    claimed_at: datetime | None
    ended: bool
    last_sign_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far the consumer has come.

    Attributes:
        entries_through: The moment up to which entries have been read; ``None`` while not known.
        markers_through: The moment up to which markers have been read; ``None`` while not known.
        grace: How much later than a claim an entry may arrive.
        silence: How long a living producer may go without a sign.
    """

    entries_through: datetime | None
    markers_through: datetime | None
    grace: timedelta = timedelta(seconds=60)
    silence: timedelta = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The judgement of one producer.

    Attributes:
        verdict: The gravest thing that holds.
        missing: Runs of sequences that are lost, both ends included.
        late: Runs that may still come.
        unknown_after: The sequence after which nothing is known, where the end is not; -1 for all of it.
    """

    verdict: Verdict
    missing: Sequence[tuple[int, int]]
    late: Sequence[tuple[int, int]]
    unknown_after: int | None

    @property
    def missing_count(self) -> int:
        """How many entries are lost."""
        return count(self.missing)


def judge(life: ProducerLife, reading: Reading, gaps: Sequence[tuple[int, int]]) -> Judged:
    """Judge a producer, of whose arrived sequences ``gaps`` are the holes."""
    highest = life.arrived[-1][1] if life.arrived else -1
    tail = [(highest + 1, life.last_sequence)] if life.last_sequence > highest else []
    due = _is_due(life.claimed_at, reading)
    missing, late = ([*gaps, *tail], []) if due else (list(gaps), tail)
    silent = not life.ended and _is_silent(life.last_sign_at, reading)
    return Judged(
        verdict=_verdict(life, missing=bool(missing), late=bool(late), silent=silent),
        missing=missing,
        late=late,
        unknown_after=max(highest, life.last_sequence) if silent else None,
    )


def count(runs: Sequence[tuple[int, int]]) -> int:
    """How many numbers lie in runs."""
    return sum(last - first + 1 for first, last in runs)


def _verdict(life: ProducerLife, *, missing: bool, late: bool, silent: bool) -> Verdict:
    if missing:
        return Verdict.MISSING
    if silent:
        return Verdict.UNKNOWN_TAIL
    if late:
        return Verdict.LATE
    return Verdict.COMPLETE if life.ended else Verdict.RUNNING


def _is_due(claimed_at: datetime | None, reading: Reading) -> bool:
    through = reading.entries_through
    return claimed_at is not None and through is not None and claimed_at + reading.grace <= through


def _is_silent(last_sign_at: datetime, reading: Reading) -> bool:
    """Silence counts only as far as both topics have been read: what was not read may hold a sign."""
    if reading.entries_through is None or reading.markers_through is None:
        return False
    return last_sign_at + reading.silence <= min(reading.entries_through, reading.markers_through)
