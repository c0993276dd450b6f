"""The topics: made as the trail's promises need them, and checked against that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._metadata import TopicMetadata
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from llm_audit_consumer.errors import ConfigurationError, TopicMismatchError
from llm_audit_consumer.kafka.causes import Causes
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.topics import TopicSpec

_TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class TopicDifference:
    """One thing about a topic that is not as it must be.

    Attributes:
        topic: The topic's name.
        setting: What differs: ``topic`` (missing), ``partitions``, ``replication`` or a Kafka setting.
        found: What it is.
        wanted: What it must be.
        mend: What to do about it.
    """

    topic: str
    setting: str
    found: str
    wanted: str
    mend: str


def missing_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
    """Those topics that are not there yet.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    present = _present(*_admin(connection), connection)
    return [spec for spec in specs if spec.name not in present]


def create_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
    """Make the topics that are missing; never alters one that is there. Returns those that were made.

    Raises:
        BrokerUnavailableError: the broker does not answer.
        TopicMismatchError: the broker refuses a topic, such as a replication beyond its brokers.
    """
    (admin, _causes), wanted = _admin(connection), missing_topics(connection, specs)
    if not wanted:
        return []
    futures = admin.create_topics(
        [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication,
                config=spec.broker_config(),
            )
            for spec in wanted
        ],
        operation_timeout=_TIMEOUT_SECONDS,
    )
    for name, future in futures.items():
        try:
            future.result(_TIMEOUT_SECONDS)
        except KafkaException as error:
            raise TopicMismatchError(
                f"Kafka refuses to make topic {name!r}: {error.args[0].str()}",
                "with fewer brokers than the replication, give --replication and --min-in-sync",
            ) from error
    return wanted


def check_topics(connection: KafkaConnection, specs: Sequence[TopicSpec]) -> list[TopicDifference]:
    """Every difference between the topics and what they must be.

    Raises:
        BrokerUnavailableError: the broker does not answer.
    """
    admin, causes = _admin(connection)
    present = _present(admin, causes, connection)
    found: list[TopicDifference] = []
    for spec in specs:
        if spec.name not in present:
            found.append(TopicDifference(spec.name, "topic", "missing", "present", "llm-audit topic create"))
        else:
            found += _layout_differences(spec, present[spec.name])
            found += _setting_differences(spec, _settings(admin, spec.name))
    return found


def _layout_differences(spec: TopicSpec, topic: TopicMetadata) -> list[TopicDifference]:
    found = []
    partitions = topic.partitions.values()
    if len(partitions) < spec.partitions:
        found.append(
            TopicDifference(
                spec.name,
                "partitions",
                str(len(partitions)),
                f"at least {spec.partitions}",
                f"kafka-topics.sh --alter --topic {spec.name} --partitions {spec.partitions}",
            )
        )
    replication = min((len(partition.replicas) for partition in partitions), default=0)
    if replication < spec.replication:
        found.append(
            TopicDifference(
                spec.name,
                "replication",
                str(replication),
                f"at least {spec.replication}",
                "kafka-reassign-partitions.sh",
            )
        )
    return found


def _setting_differences(spec: TopicSpec, settings: dict[str, str]) -> list[TopicDifference]:
    return [
        TopicDifference(
            spec.name,
            name,
            settings.get(name, "not set"),
            wanted,
            f"kafka-configs.sh --alter --entity-type topics --entity-name {spec.name} --add-config {name}={wanted}",
        )
        for name, wanted in spec.broker_config().items()
        if settings.get(name) != wanted
    ]


def _settings(admin: AdminClient, topic: str) -> dict[str, str]:
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: str(entry.value) for name, entry in future.result(_TIMEOUT_SECONDS).items()}


def _present(admin: AdminClient, causes: Causes, connection: KafkaConnection) -> dict[str, TopicMetadata]:
    try:
        return dict(admin.list_topics(timeout=_TIMEOUT_SECONDS).topics)
    except KafkaException as error:
        admin.poll(0)  # brings the causes, which wait as events
        raise causes.unavailable(connection, error) from error


def _admin(connection: KafkaConnection) -> tuple[AdminClient, Causes]:
    causes = Causes()
    properties = {**connection.client_config(), "log_level": 2, "error_cb": causes.note}
    try:
        admin = AdminClient(properties)  # type: ignore[arg-type]  # its type hints leave out the callbacks
    except KafkaException as error:
        raise ConfigurationError(
            f"the Kafka client refuses its configuration: {error.args[0].str()}",
            "correct the LLM_AUDIT_KAFKA_* variables",
        ) from error
    return admin, causes
