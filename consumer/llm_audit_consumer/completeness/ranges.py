"""Which sequences of which producers a batch brings: runs of numbers, mostly one for each producer.

The store adds them to what has arrived before, in the transaction of the rows: see ``AuditStore.write``. Adding what is
there already changes nothing, so a batch that is delivered twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

HIGHEST_SEQUENCE = 2**62
"""Beyond it no honest producer counts; what a hostile one says there is stored, and not counted."""


class SequenceRange(NamedTuple):
    """Sequences of one producer without a gap, both ends included."""

    producer_id: UUID
    first: int
    last: int


def ranges_of(arrived: Iterable[tuple[UUID, int]]) -> list[SequenceRange]:
    """The runs in (producer_id, sequence) pairs, which may come in any order and more than once."""
    by_producer: dict[UUID, set[int]] = {}
    for producer_id, sequence in arrived:
        if 0 <= sequence < HIGHEST_SEQUENCE:
            by_producer.setdefault(producer_id, set()).add(sequence)
    return [
        SequenceRange(producer_id, first, last)
        for producer_id, sequences in by_producer.items()
        for first, last in _runs(sorted(sequences))
    ]


def parsed(multirange: str) -> list[tuple[int, int]]:
    """PostgreSQL's text of an ``int8multirange``, such as ``{[0,5),[7,9)}``, as pairs with both ends included."""
    pairs = multirange.strip("{}").replace("[", "").split(")")
    return [
        (int(first), int(end) - 1)
        for first, _, end in (pair.strip(",").partition(",") for pair in pairs if pair)
    ]


def gaps(arrived: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is missing from 0 up to the highest number that has arrived, both ends included."""
    before_first = [(0, arrived[0][0] - 1)] if arrived and arrived[0][0] > 0 else []
    return before_first + [(one[1] + 1, next_one[0] - 1) for one, next_one in pairwise(arrived)]


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    first = numbers[0]
    for one, following in pairwise(numbers):
        if following != one + 1:
            runs.append((first, one))
            first = following
    return [*runs, (first, numbers[-1])]
