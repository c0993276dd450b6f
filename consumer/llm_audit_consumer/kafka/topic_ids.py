"""Kafka's own id of a topic, which changes when a topic is deleted and made again under the same name."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from llm_audit_consumer.errors import BrokerUnavailableError
from llm_audit_schemas.kafka_connection import KafkaConnection

_TIMEOUT_SECONDS = 10.0
_NO_CONTROLLER_SECONDS = 1.0
_NO_ID = "A" * 22
"""The all-zero id, which Kafka before 2.8 gives every topic."""


def topic_id_of(connection: KafkaConnection, topic: str) -> str:
    """The topic's id, or ``name:TOPIC@CLUSTER`` from a broker that has none (before Kafka 2.8, and the mock cluster).

    The cluster's id keeps the offsets of one mock cluster from being taken for those of the next, which starts anew.

    Never the name merely because the broker did not answer in time: under another id the topic would be read again
    from its beginning.

    Raises:
        BrokerUnavailableError: the broker does not answer, or not with the topic.
    """
    admin = AdminClient({**connection.client_config(), "log_level": 2})
    try:
        cluster = admin.list_topics(topic, timeout=_TIMEOUT_SECONDS)
    except KafkaException as error:
        raise _unavailable(connection, topic, error) from error
    by_name = f"name:{topic}@{cluster.cluster_id}"
    has_controller = cluster.controller_id in cluster.brokers
    seconds = _TIMEOUT_SECONDS if has_controller else _NO_CONTROLLER_SECONDS
    (described,) = admin.describe_topics(TopicCollection([topic]), request_timeout=seconds).values()
    try:
        # The client itself ends the request; the longer wait only lets its own answer come first.
        found = str(described.result(seconds + _TIMEOUT_SECONDS).topic_id)
    except (KafkaException, TimeoutError) as error:
        if has_controller:
            raise _unavailable(connection, topic, error) from error
        return by_name  # only the mock cluster names a controller that is none of its brokers
    return by_name if found in ("", _NO_ID) else found


def _unavailable(connection: KafkaConnection, topic: str, error: Exception) -> BrokerUnavailableError:
    return BrokerUnavailableError(
        f"Kafka at {connection.bootstrap_servers} does not tell the id of topic {topic!r}: {error}",
        "check that the broker runs and that the consumer may describe the topic",
    )
