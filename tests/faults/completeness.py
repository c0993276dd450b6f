"""What `llm-audit completeness` says of every life of a trail, against what the services themselves know."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from click.testing import CliRunner

from llm_audit_consumer.cli.group import cli
from tests.consumer.consumer_process import eventually
from tests.faults.figures import Figures
from tests.faults.services import ServiceLife
from tests.faults.trail import GROUP, Trail

_SECONDS = 60.0
_POLL_SECONDS = 0.5
_NEVER = "1970-01-01T00:00:00+00:00"
_NEVER_OF_A_KILLED_ONE = ("complete", "running")


def judge_completeness(trail: Trail, figures: Figures) -> None:
    """Have every service end in good order; then no word of the report may contradict what is known of its life."""
    _wait_for_signs_of_life(trail)
    trail.end_services()
    wrong: list[str] = ["nothing was asked yet"]
    next_look = time.monotonic()

    def agrees() -> bool:
        nonlocal wrong, next_look
        if time.monotonic() >= next_look:  # the command takes a while, and the consumer a moment to read on
            wrong = _contradictions(trail)
            next_look = time.monotonic() + _POLL_SECONDS
        return not wrong

    try:
        eventually(agrees, "completeness to agree", _SECONDS)
    except AssertionError as error:
        raise AssertionError("\n".join(wrong)) from error
    said = {each["producer_id"]: each["verdict"] for each in _report(trail)["producers"]}
    figures.verdicts = Counter(
        f"{life.mode}, {'killed' if life.killed else 'ended'}: {said.get(life.producer_id, 'never heard of')}"
        for life in trail.lives
    )


def _wait_for_signs_of_life(trail: Trail) -> None:
    """A producer gives its last word little time: it must not fall into the search for a new leader."""
    begun = datetime.now(UTC)

    def heard_of_all() -> bool:
        seen = {each["producer_id"]: each["last_seen_at"] for each in _report(trail)["producers"]}
        return all(
            datetime.fromisoformat(seen.get(life.producer_id) or _NEVER) > begun for life in trail.services
        )

    eventually(heard_of_all, "signs of life", _SECONDS)


def _contradictions(trail: Trail) -> list[str]:
    said = {each["producer_id"]: each for each in _report(trail)["producers"]}
    stored = _stored_sequences(trail)
    wrong = []
    for life in trail.lives:
        if not life.calls:
            continue  # killed before it did anything
        one = said.get(life.producer_id)
        if one is None:
            if life.producer_id in stored:
                wrong.append(f"{life.name} has rows, and is not mentioned")
            elif _is_known(life):
                wrong.append(f"{life.name} is not mentioned")
        elif message := _contradiction(life, one, stored.get(life.producer_id, set())):
            wrong.append(f"{life.name}, killed: {life.killed}: {message}; it says {one}")
    return wrong


def _is_known(life: ServiceLife) -> bool:
    """Whether it must be on record: of a memory service that was killed in an outage nothing ever arrived."""
    return not life.killed or life.mode.spools


def _contradiction(life: ServiceLife, one: dict[str, Any], stored: set[int]) -> str:
    if not life.killed:
        assert life.statistics is not None
        lost = sum(life.statistics["lost"].values())
        expected = "missing" if lost else "complete"
        fits = one["verdict"] == expected and one["missing_count"] == lost
        return "" if fits else f"it ended in good order with {lost} counted as lost"
    if life.mode.spools:
        # Its adopter's word that it ended may itself die with an adopter: then its tail stays unknown.
        fits = one["verdict"] in ("complete", "unknown_tail") and not one["missing_count"]
        return "" if fits else "its spool was adopted whole"
    if one["verdict"] in _NEVER_OF_A_KILLED_ONE:
        return "nobody can know that it is complete"
    highest = max(stored, default=-1)
    named = {number for first, last in one["missing"] for number in range(first, last + 1)}
    if named & stored:
        return "what is stored is called missing"
    if any(number not in stored and number not in named for number in range(highest + 1)):
        return "a hole is not named"
    tail = one["unknown_after"]
    return "" if tail is None or tail >= highest else f"{highest} is stored beyond the unknown tail"


def _report(trail: Trail) -> dict[str, Any]:
    arguments = [
        "--json",
        "--all",
        "--dsn",
        trail.postgres.dsn,
        "--group",
        GROUP,
        "--grace",
        "0",
        "--silence",
        "1",
    ]
    result = CliRunner().invoke(cli, ["completeness", *arguments])
    assert result.exit_code in (0, 1), result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def _stored_sequences(trail: Trail) -> dict[str, set[int]]:
    rows = trail.tables.query(
        "SELECT producer_id::text, array_agg(sequence) FROM llm_audit_log GROUP BY producer_id"
    )
    return {producer_id: set(sequences) for producer_id, sequences in rows}
