"""The judgement after a round: what every service was promised, against what is in the tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from llm_audit_schemas import topics
from tests.consumer.consumer_process import eventually
from tests.faults.figures import Figures
from tests.faults.services import ServiceLife
from tests.faults.trail import GROUP, Trail

_DRAIN_SECONDS = 180.0
_SHOWN = 10


@dataclass(frozen=True)
class Row:
    """What the log holds of a call."""

    request_id: str
    service: str
    producer_id: str
    sequence: int
    worker: int
    number: int


def judge(trail: Trail, figures: Figures) -> None:
    """Let the trail come to rest, and compare."""
    trail.pause_services()
    trail.wait_left()
    _wait_until_stored(trail)
    _wait_until_read_to_the_end(trail)
    rows = _rows(trail)
    _count(trail, rows, figures)
    _every_promise_was_kept(trail, rows, figures)
    _nothing_is_there_twice(rows, figures)
    _nothing_is_there_that_was_not_called(trail, rows, figures)
    _what_died_in_memory_is_a_tail(trail, rows, figures)
    assert figures.dead_letters == 0, trail.tables.dead_letter_reasons()
    for consumer in trail.consumers:
        consumer.wait_started()
        eventually(lambda each=consumer: each.get("/readyz")[0] == 200, "a consumer to be ready")  # type: ignore[misc]


def promised(life: ServiceLife) -> set[str]:
    """The request_ids that must be in the log: all that returned, except what a killed process held in memory."""
    if life.killed and not life.mode.keeps_what_returned:
        return set()
    return {call.request_id for call in life.calls if call.ok}


def _wait_until_stored(trail: Trail) -> None:
    missing = set().union(*(promised(life) for life in trail.lives))

    def none_missing() -> bool:
        found = trail.tables.query(
            "SELECT request_id::text FROM llm_audit_log WHERE request_id = ANY (%s::uuid[])", list(missing)
        )
        missing.difference_update(each for (each,) in found)
        return not missing

    try:
        eventually(none_missing, "every promised entry", _DRAIN_SECONDS)
    except AssertionError as error:
        whose = Counter(life.name for life in trail.lives for each in promised(life) if each in missing)
        raise AssertionError(f"{len(missing)} entries are missing, of {whose}:\n{trail.logs()}") from error


def _wait_until_read_to_the_end(trail: Trail) -> None:
    """Every partition is read to its end, and each by the one group."""

    def at_the_end() -> bool:
        ends = {each: end for each, end in trail.kafka.end_offsets(topics.ENTRIES).items() if end > 0}
        return stored_offsets(trail) == ends

    eventually(at_the_end, "offsets at the end of their partitions", _DRAIN_SECONDS)


def stored_offsets(trail: Trail) -> dict[int, int]:
    """Partition to next offset, as the database has it."""
    return dict(
        trail.tables.query(
            "SELECT partition, next_offset FROM llm_audit_offset WHERE consumer_group = %s AND topic = %s",
            GROUP,
            topics.ENTRIES,
        )
    )


def _rows(trail: Trail) -> list[Row]:
    found = trail.tables.query(
        "SELECT request_id::text, user_id, producer_id::text, sequence,"
        " (metadata->>'worker')::int, (metadata->>'number')::int FROM llm_audit_log"
    )
    return [Row(*each) for each in found]


def _count(trail: Trail, rows: list[Row], figures: Figures) -> None:
    figures.rows = len(rows)
    figures.calls = Counter({str(life.mode): 0 for life in trail.lives})
    for life in trail.lives:
        figures.calls[str(life.mode)] += len(life.calls)
    figures.unavailable = sum(not call.ok for life in trail.lives for call in life.calls)
    figures.dead_letters = trail.tables.dead_letter_count()
    figures.duplicates_dropped = sum(stored_offsets(trail).values()) - figures.rows - figures.dead_letters


def _every_promise_was_kept(trail: Trail, rows: list[Row], figures: Figures) -> None:
    stored = {row.request_id for row in rows}
    missing = set().union(*(promised(life) for life in trail.lives)) - stored
    figures.missing = len(missing)
    assert not missing
    for life in trail.lives:
        assert not life.mode.spools or all(call.ok for call in life.calls), f"{life.name}: a spool refused"


def _nothing_is_there_twice(rows: list[Row], figures: Figures) -> None:
    """Not by the primary key, which would say so by itself, but by what the service counted."""
    of_calls = Counter((row.service, row.worker, row.number) for row in rows)
    of_sequences = Counter((row.producer_id, row.sequence) for row in rows)
    doubled = [each for each, count in of_calls.items() if count > 1]
    figures.doubled = len(doubled)
    assert not doubled, doubled[:_SHOWN]
    assert max(of_sequences.values(), default=0) <= 1, of_sequences.most_common(_SHOWN)


def _nothing_is_there_that_was_not_called(trail: Trail, rows: list[Row], figures: Figures) -> None:
    """A row that no service noted is of the one call that each worker had under way when it was killed."""
    lives = {life.name: life for life in trail.lives}
    noted = {call.request_id for life in trail.lives for call in life.calls}
    unreturned = [row for row in rows if row.request_id not in noted]
    figures.unreturned_rows = len(unreturned)
    for row in unreturned:
        life = lives[row.service]
        last = max((call.number for call in life.calls if call.worker == row.worker), default=-1)
        assert life.killed, f"{row} was never returned to {life.name}, which lives"
        assert row.number == last + 1, f"{row} is not the call under way after {last}"


def _what_died_in_memory_is_a_tail(trail: Trail, rows: list[Row], figures: Figures) -> None:
    """Of a killed memory service the entries up to some sequence are there, and none after it."""
    figures.lost_in_memory = 0
    stored = {row.request_id for row in rows}
    for life in trail.lives:
        if life.killed and not life.mode.keeps_what_returned:
            sequences = sorted(row.sequence for row in rows if row.service == life.name)
            assert sequences == list(range(len(sequences))), f"{life.name} has holes before its tail"
            figures.lost_in_memory += sum(call.request_id not in stored for call in life.calls)
