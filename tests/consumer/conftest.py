"""Consumers on the real broker."""

from collections.abc import Iterator

import pytest

from tests.consumer.consumer_process import StartConsumer, consumers
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest


@pytest.fixture
def start(kafka_broker: KafkaUnderTest) -> Iterator[StartConsumer]:
    with consumers(kafka_broker.bootstrap_servers) as starter:
        yield starter


@pytest.fixture
def tables(database: Database) -> Tables:
    return Tables(database.dsn)
