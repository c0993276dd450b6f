"""Which form of the fault suite runs, with which seed, and where it says so."""

from __future__ import annotations

import functools
import os
import random
import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.consumer.consumer_process import StartConsumer, consumers
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest

Say = Callable[[str], None]

_LONG = "long"


def is_long() -> bool:
    """Whether LLM_AUDIT_FAULTS asks for the long form."""
    asked = os.environ.get("LLM_AUDIT_FAULTS", "")
    if asked not in ("", "short", _LONG):
        raise pytest.UsageError(f"LLM_AUDIT_FAULTS is {asked!r}; use short or long")
    return asked == _LONG


@functools.cache
def seed() -> int:
    """The seed of this run's faults: LLM_AUDIT_FAULTS_SEED, else a new one."""
    given = os.environ.get("LLM_AUDIT_FAULTS_SEED")
    if given and not given.isdecimal():
        raise pytest.UsageError(f"LLM_AUDIT_FAULTS_SEED is {given!r}; use a whole number")
    return int(given) if given else secrets.randbelow(1_000_000)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long_form: only in the long form of the fault suite, `make faults`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is marked for the long form out of the short one; pytest says how many."""
    left_out = [] if is_long() else [item for item in items if item.get_closest_marker("long_form")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Writes a line that is seen at once, whatever is captured."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    assert capture is not None

    def write(line: str) -> None:
        with capture.global_and_fixture_disabled():
            os.write(2, f"\n{line}\n".encode())  # a worker of several has no terminal of pytest's own

    return write


@pytest.fixture
def rng(request: pytest.FixtureRequest, say: Say) -> random.Random:
    """The random choices of a test; each test has its own, so that it can be repeated alone."""
    say(f"LLM_AUDIT_FAULTS_SEED={seed()}")
    return random.Random(f"{seed()} {request.node.name}")


@pytest.fixture
def start(kafka_broker: KafkaUnderTest) -> Iterator[StartConsumer]:
    with consumers(kafka_broker.bootstrap_servers) as starter:
        yield starter


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database.dsn)
