"""Real servers inside one folder: PostgreSQL from wheels, Apache Kafka from Maven, librdkafka's mock broker.

They exist for `make demo`, `llm-audit dev` and the tests. All of them listen on 127.0.0.1 only, and all of
them stop when the process that started them ends, however it ends.
"""

from llm_audit_consumer.embedded.choose import BrokerChoice, choose_broker
from llm_audit_consumer.embedded.errors import (
    EmbeddedError,
    EmbeddedMissingError,
    EmbeddedStartError,
)
from llm_audit_consumer.embedded.kafka import EmbeddedKafka
from llm_audit_consumer.embedded.mock_cluster import MockKafka
from llm_audit_consumer.embedded.postgres import EmbeddedPostgres

__all__ = [
    "BrokerChoice",
    "EmbeddedError",
    "EmbeddedKafka",
    "EmbeddedMissingError",
    "EmbeddedPostgres",
    "EmbeddedStartError",
    "MockKafka",
    "choose_broker",
]
