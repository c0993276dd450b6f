"""Which broker the embedded stack gets: the real Kafka where it can run, else librdkafka's mock cluster."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from llm_audit_consumer.embedded.errors import EmbeddedMissingError
from llm_audit_consumer.embedded.kafka import EmbeddedKafka
from llm_audit_consumer.embedded.kafka_jars import find_java, kafka_jars, kafka_version
from llm_audit_consumer.embedded.mock_cluster import LIMITS, MockKafka

Preference = Literal["auto", "kafka", "mock"]


class Broker(Protocol):
    """What both embedded brokers offer."""

    @property
    def bootstrap_servers(self) -> str:
        """The addresses to give a client."""

    @property
    def pids(self) -> list[int]:
        """The server processes' ids."""

    @property
    def running(self) -> bool:
        """Whether it is alive."""

    def start(self) -> None:
        """Start it and wait until it answers."""

    def stop(self) -> None:
        """Stop it."""


@dataclass(frozen=True, slots=True)
class BrokerChoice:
    """Which broker it will be, and why, in a sentence for people.

    Attributes:
        kind: `kafka` (real) or `mock`.
        why: The choice and its reason.
        limits: What the chosen broker cannot do; empty for the real one.
    """

    kind: Literal["kafka", "mock"]
    why: str
    limits: str

    def create(self, folder: Path | None = None) -> Broker:
        """Return the broker, not yet started.

        Args:
            folder: Where the real Kafka keeps its data (see `EmbeddedKafka`); the mock keeps none.
        """
        return EmbeddedKafka(folder) if self.kind == "kafka" else MockKafka()


def choose_broker(preference: Preference = "auto") -> BrokerChoice:
    """Choose a broker; the first choice of the real Kafka fetches it (about 45 MB, by Maven).

    Args:
        preference: `kafka` or `mock` insists; `auto` takes the real Kafka where Java and Maven are here.

    Raises:
        EmbeddedMissingError: `kafka` was asked for and cannot run here.
    """
    if preference == "mock":
        return BrokerChoice("mock", "librdkafka's mock broker, as asked for.", LIMITS)
    try:
        java = find_java()
        kafka_jars()
    except EmbeddedMissingError as error:
        if preference == "kafka":
            raise
        return BrokerChoice("mock", f"librdkafka's mock broker, because {error}.", LIMITS)
    return BrokerChoice("kafka", f"Apache Kafka {kafka_version()} (real, one node), run by {java}.", "")
