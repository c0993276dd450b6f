"""Each conformance test runs twice: on librdkafka's mock broker and on the real one."""

from collections.abc import Iterator

import pytest

from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker


@pytest.fixture(params=["mock", "real"])
def broker(request: pytest.FixtureRequest) -> KafkaUnderTest:
    chosen = request.getfixturevalue("mock_broker" if request.param == "mock" else "kafka_broker")
    assert isinstance(chosen, KafkaUnderTest)
    return chosen


@pytest.fixture
def four_partitions(broker: KafkaUnderTest) -> Iterator[str]:
    """A topic of four partitions, the number the mock gives every topic."""
    maker = TopicMaker(broker.bootstrap_servers, can_create=broker.is_real)
    yield maker(partitions=4, prefix="conformance")
    maker.remove_all()
