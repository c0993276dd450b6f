"""A round: faults begin and are mended at random instants under load, then everything is mended and judged.

Instants are numbers of calls that have returned, so that they fall anywhere in what the trail does, and a slow machine
sees the same faults as a fast one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.faults.figures import Figures
from tests.faults.kinds import Fault, Mend
from tests.faults.trail import Trail

_CALLS_BETWEEN = (5, 80)
_CALLS_UNTIL_MENDED = (5, 250)


@dataclass
class _Open:
    """A fault that has begun."""

    fault: Fault
    mend: Mend
    due_calls: int
    due_at: float


def play(trail: Trail, faults: Sequence[Fault], rng: random.Random, figures: Figures) -> None:
    """Let the faults happen in this order, each at a random instant, and mend each at another."""
    pending: list[_Open] = []
    order = random.Random(rng.random())
    for fault in faults:
        trail.wait_for_calls(rng.randint(*_CALLS_BETWEEN))
        for each in [each for each in pending if _is_due(trail, each) or each.fault.part == fault.part]:
            _mend(trail, each, pending)
        trail.note(f"begin: {fault.name}")
        begun = time.monotonic()
        due_calls = trail.call_count() + rng.randint(*_CALLS_UNTIL_MENDED)
        pending.append(_Open(fault, fault.begin(trail, rng), due_calls, begun + fault.least_seconds))
        _count(fault, figures)
    order.shuffle(pending)
    while pending:
        _mend(trail, pending[0], pending)
    trail.fill_up()


def _mend(trail: Trail, each: _Open, pending: list[_Open]) -> None:
    trail.wait_for_calls(0, max(0.0, each.due_at - time.monotonic()))
    trail.note(f"mend: {each.fault.name}")
    each.mend()
    pending.remove(each)


def _is_due(trail: Trail, each: _Open) -> bool:
    return trail.call_count() >= each.due_calls and time.monotonic() >= each.due_at


def _count(fault: Fault, figures: Figures) -> None:
    if fault.kills:
        figures.kills[fault.victim] += fault.kills
    else:
        figures.others[fault.name] += 1
