"""The fixtures every kind of test shares: a real Kafka, a real PostgreSQL, topics and databases on them."""

from collections.abc import Iterator

import pytest

from llm_audit_consumer.embedded import EmbeddedError, MockKafka
from llm_audit_schemas import topics
from tests.parts.databases import Database, DatabaseMaker
from tests.parts.servers import (
    KafkaUnderTest,
    PostgresUnderTest,
    plan,
    running_kafka,
    running_postgres,
)
from tests.parts.topics import TopicMaker, ensure_topic


def pytest_configure() -> None:
    try:
        plan()
    except EmbeddedError as error:
        raise pytest.UsageError(
            f"LLM_AUDIT_REQUIRE_REAL is 1, and there is no real Kafka: {error}"
        ) from error


def pytest_report_header() -> list[str]:
    chosen = plan()
    return [f"kafka: {chosen.kafka_words}", f"postgresql: {chosen.postgres_words}"]


@pytest.fixture(scope="session")
def kafka_broker() -> Iterator[KafkaUnderTest]:
    with running_kafka() as broker:
        if broker.is_real:
            ensure_topic(broker.bootstrap_servers, topics.MARKERS)
        yield broker


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresUnderTest]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def mock_broker() -> Iterator[KafkaUnderTest]:
    with MockKafka() as mock:
        yield KafkaUnderTest("mock", mock.bootstrap_servers)


@pytest.fixture
def make_topic(kafka_broker: KafkaUnderTest) -> Iterator[TopicMaker]:
    maker = TopicMaker(kafka_broker.bootstrap_servers, can_create=kafka_broker.is_real)
    yield maker
    maker.remove_all()


@pytest.fixture
def topic(make_topic: TopicMaker, request: pytest.FixtureRequest) -> str:
    """Three partitions, or as many as `@pytest.mark.parametrize("topic", [N], indirect=True)` says."""
    return make_topic(partitions=getattr(request, "param", 3))


@pytest.fixture
def make_database(postgres_server: PostgresUnderTest) -> Iterator[DatabaseMaker]:
    maker = DatabaseMaker(postgres_server)
    yield maker
    maker.drop_all()


@pytest.fixture
def database(make_database: DatabaseMaker) -> Database:
    return make_database()
