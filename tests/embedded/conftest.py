import pytest

from tests.parts.servers import plan


@pytest.fixture
def real_kafka_possible() -> None:
    """Skip, loudly, where the fall-back to the mock was allowed; with LLM_AUDIT_REQUIRE_REAL=1 it never is."""
    chosen = plan()
    if chosen.kafka == "mock":
        pytest.skip(f"no real Kafka on this machine: {chosen.kafka_words}")
