"""Kafka's own id of a topic, which changes when a topic is deleted and made again under the same name."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from llm_audit_schemas.kafka_connection import KafkaConnection

_TIMEOUT_SECONDS = 10.0


def topic_id_of(connection: KafkaConnection, topic: str) -> str:
    """The topic's id, or ``name:TOPIC`` from a broker that gives none (before Kafka 2.8, and the mock cluster)."""
    admin = AdminClient({**connection.client_config(), "log_level": 2})
    try:
        (described,) = admin.describe_topics(
            TopicCollection([topic]), request_timeout=_TIMEOUT_SECONDS
        ).values()
        found = str(described.result(_TIMEOUT_SECONDS).topic_id)
    except (KafkaException, TimeoutError):
        return f"name:{topic}"
    return found or f"name:{topic}"
