"""The parts that decide without doing: batching, retries, lag, health, metrics labels."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from llm_audit_consumer.batch import Message, Partition
from llm_audit_consumer.batching import Batcher, BatchLimits
from llm_audit_consumer.health import Health
from llm_audit_consumer.lag import Lag, judge_lag
from llm_audit_consumer.metrics import MODEL_LIMIT, Metrics
from llm_audit_consumer.retry import RetryPolicy
from tests.consumer.entries import PARTITION, message_of

OTHER = Partition("topic-id", "entries", 1)
NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def some(count: int, size: int = 10, partition: Partition = PARTITION) -> list[Message]:
    return [message_of(b"x" * size, offset=offset, partition=partition) for offset in range(count)]


def test_a_batch_is_due_at_its_number_of_messages() -> None:
    batcher = Batcher(BatchLimits(messages=3), Clock())
    assert not batcher.due
    batcher.add(some(2))
    assert (batcher.due, batcher.room) == (False, 1)
    batcher.add(some(1))
    assert (batcher.due, batcher.room) == (True, 0)


def test_a_batch_is_due_at_its_bytes() -> None:
    batcher = Batcher(BatchLimits(bytes=10_000), Clock())
    seen = []
    for _ in range(2):
        batcher.add(some(1, size=5000))
        seen.append(batcher.due)
    assert seen == [False, True]


def test_messages_without_a_value_count_too() -> None:
    """Else a topic full of tombstones would never fill a batch by bytes."""
    batcher = Batcher(BatchLimits(bytes=1000), Clock())
    batcher.add(message_of(None) for _ in range(10))
    assert batcher.due


def test_a_batch_is_due_when_its_first_message_has_waited_long_enough() -> None:
    clock = Clock()
    batcher = Batcher(BatchLimits(age_seconds=0.5), clock)
    batcher.add(some(1))
    clock.now += 0.4
    batcher.add(some(1))  # a later one does not start the wait anew
    assert (batcher.due, round(batcher.wait_seconds(9.0), 6)) == (False, 0.1)
    clock.now += 0.1
    assert (batcher.due, batcher.wait_seconds(9.0)) == (True, 0.0)


def test_an_empty_batch_waits_as_long_as_it_is_told_and_is_never_due() -> None:
    clock = Clock()
    batcher = Batcher(BatchLimits(age_seconds=0.1), clock)
    clock.now += 100
    assert (batcher.due, batcher.wait_seconds(0.7), len(batcher)) == (False, 0.7, 0)


def test_taking_a_batch_starts_the_next_one() -> None:
    clock = Clock()
    batcher = Batcher(BatchLimits(messages=2, bytes=1000, age_seconds=0.1), clock)
    first = some(2, size=400)
    batcher.add(first)
    assert batcher.take() == first
    clock.now += 100
    batcher.add(some(1, size=400))
    assert not batcher.due, "the taken batch's bytes or age are still counted"


def test_dropping_partitions_keeps_the_others_their_age_and_their_bytes() -> None:
    clock = Clock()
    batcher = Batcher(BatchLimits(bytes=1500, age_seconds=0.5), clock)
    batcher.add([*some(2, size=400), *some(1, size=400, partition=OTHER)])
    assert batcher.due
    batcher.drop([PARTITION])
    assert (len(batcher), batcher.due) == (1, False)
    assert batcher.oldest.keys() == {OTHER}
    clock.now += 0.5
    assert batcher.due


def test_the_oldest_message_of_each_partition_is_known() -> None:
    batcher = Batcher(BatchLimits(), Clock())
    batcher.add([*some(3), *some(2, partition=OTHER)])
    assert {each: message.offset for each, message in batcher.oldest.items()} == {PARTITION: 0, OTHER: 0}


@pytest.mark.parametrize(
    ("failures", "bound"), [(1, 0.2), (2, 0.4), (4, 1.6), (7, 12.8), (8, 15), (10_000, 15)]
)
def test_retries_wait_between_half_their_bound_and_all_of_it(failures: int, bound: float) -> None:
    policy = RetryPolicy(first_seconds=0.2, longest_seconds=15)
    assert policy.wait_seconds(failures, lambda: 0.0) == pytest.approx(bound / 2)
    assert policy.wait_seconds(failures, lambda: 0.999999) == pytest.approx(bound, rel=1e-3)
    waits = {policy.wait_seconds(failures, random.Random(seed).random) for seed in range(50)}
    assert len(waits) == 50
    assert all(bound / 2 <= wait <= bound for wait in waits)


@pytest.mark.parametrize(
    ("high_watermark", "next_offset", "oldest_seconds", "wanted"),
    [
        (None, 5, None, Lag(None, None)),
        (None, None, None, Lag(None, None)),
        (None, 5, 3.0, Lag(None, 3.0)),
        (10, 10, None, Lag(0, 0.0)),
        (10, 4, 3.0, Lag(6, 3.0)),
        (10, 4, None, Lag(6, None)),
        (10, None, None, Lag(10, None)),
        (0, None, None, Lag(0, 0.0)),
        (10, 12, None, Lag(0, 0.0)),
        (10, 4, -3.0, Lag(6, 0.0)),
    ],
    ids=[
        "watermark unknown",
        "nothing known",
        "only an age known",
        "caught up",
        "behind",
        "behind, age unknown",
        "nothing stored yet",
        "empty topic",
        "watermark older than our commit",
        "the broker's clock is ahead of ours",
    ],
)
def test_lag_is_judged_and_what_is_unknown_stays_unknown(
    high_watermark: int | None, next_offset: int | None, oldest_seconds: float | None, wanted: Lag
) -> None:
    oldest = None if oldest_seconds is None else NOW - timedelta(seconds=oldest_seconds)
    found = judge_lag(high_watermark=high_watermark, next_offset=next_offset, oldest_waiting=oldest, now=NOW)
    assert found == wanted


def test_a_loop_that_does_not_turn_is_stuck_until_it_turns_again() -> None:
    clock = Clock()
    health = Health(clock, stuck_seconds=10)
    clock.now += 10
    assert health.stuck_for is None
    clock.now += 1
    assert health.stuck_for == pytest.approx(11)
    health.turned()
    assert health.stuck_for is None


def test_readiness_names_every_part_that_is_away() -> None:
    health = Health(Clock(), stuck_seconds=10)
    assert health.problems == {"consumer": "starting"}
    health.not_ready("database", "gone")
    health.ready("consumer")
    assert health.problems == {"database": "gone"}
    health.ready("broker")  # was never away
    health.ready("database")
    assert health.problems == {}


def test_models_in_a_label_are_bounded() -> None:
    metrics = Metrics(CollectorRegistry())
    names = [f"model-{number}" for number in range(MODEL_LIMIT + 10)]
    labels = [metrics.model_label(name) for name in names]
    assert labels == names[:MODEL_LIMIT] + ["other"] * 10
    assert metrics.model_label("model-3") == "model-3", "a known model keeps its name"
    assert metrics.model_label(None) == "unknown"
