"""Nothing lost, nothing doubled, whatever is killed, frozen, cut off or restarted, under load.

The short form plays one round on three Kafka nodes. The long form (LLM_AUDIT_FAULTS=long, `make faults`) plays rounds
on one node and on three until there were 200 kills, or LLM_AUDIT_FAULTS_ROUNDS rounds on each.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.completeness import judge_completeness
from tests.faults.conftest import Say, is_long, seed
from tests.faults.figures import Figures
from tests.faults.kinds import FAULTS, Fault
from tests.faults.rounds import play
from tests.faults.trail import Trail, running_trail
from tests.faults.verdict import judge

pytestmark = pytest.mark.faults

_KILLS = 100
"""On each of the two clusters."""
_OTHERS_PER_ROUND = 5
_FIGURES = Path(".llm-audit") / "faults.json"

SHORT = (
    "kill strict-spooled service",
    "freeze consumer",
    "kill broker",
    "hang postgres",
    "kill spool-spooled service",
    "kill postgres",
    "consumer joins and leaves",
    "kill memory-unspooled service",
    "hang kafka",
    "kill consumer",
    "kill strict-unspooled service",
    "kill two brokers",
)


def test_a_trail_of_three_nodes_keeps_every_promise(tmp_path: Path, rng: random.Random, say: Say) -> None:
    figures = Figures(seed(), nodes=3)
    faults = [FAULTS[name] for name in SHORT]
    rng.shuffle(faults)
    with running_trail(tmp_path, nodes=3) as trail:
        _round(trail, faults, rng, figures, say)
        _lose_a_node_for_good(trail, rng, figures, say)
        judge_completeness(trail, figures)
        _keep(figures, say)


@pytest.mark.long_form
@pytest.mark.parametrize("nodes", [1, 3])
def test_200_kills(nodes: int, tmp_path: Path, rng: random.Random, say: Say) -> None:
    figures = Figures(seed(), nodes)
    with running_trail(tmp_path, nodes) as trail:
        while _goes_on(figures):
            _round(trail, _some_faults(nodes, rng), rng, figures, say)
        if nodes > 1:
            _lose_a_node_for_good(trail, rng, figures, say)
        judge_completeness(trail, figures)
        _keep(figures, say)


def _goes_on(figures: Figures) -> bool:
    rounds = os.environ.get("LLM_AUDIT_FAULTS_ROUNDS")
    return figures.rounds < int(rounds) if rounds else figures.kill_count < _KILLS


def _some_faults(nodes: int, rng: random.Random) -> list[Fault]:
    """Every kill, the cheap ones twice, and some of the rest, in any order."""
    possible = [fault for fault in FAULTS.values() if fault.nodes <= nodes]
    kills = [fault for fault in possible if fault.kills]
    others = [fault for fault in possible if not fault.kills]
    again = [fault for fault in kills if fault.part != "kafka"]
    chosen = [*kills, *rng.sample(again, 4), *rng.sample(others, _OTHERS_PER_ROUND)]
    rng.shuffle(chosen)
    return chosen


def _round(trail: Trail, faults: list[Fault], rng: random.Random, figures: Figures, say: Say) -> None:
    if figures.rounds:
        trail.go_on()
    play(trail, faults, rng, figures)
    figures.rounds += 1
    _judge(trail, figures, say)


def _lose_a_node_for_good(trail: Trail, rng: random.Random, figures: Figures, say: Say) -> None:
    """The two that are left are enough for every promise."""
    trail.go_on()
    trail.wait_for_calls(rng.randint(5, 80))
    trail.kafka.kill_node(rng.choice(trail.kafka.nodes))
    figures.kills["broker"] += 1
    figures.others["lose a node for good"] += 1
    trail.wait_for_calls(300)
    _judge(trail, figures, say)


def _judge(trail: Trail, figures: Figures, say: Say) -> None:
    judge(trail, figures)
    _keep(figures, say)


def _keep(figures: Figures, say: Say) -> None:
    if is_long():
        _FIGURES.parent.mkdir(exist_ok=True)
        figures.write(_FIGURES)
    say(figures.line())
