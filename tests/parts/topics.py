"""Topics for tests, made and removed through the broker's own admin interface."""

import uuid
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # confluent_kafka.admin has it too, but its types do not say so

_REQUEST_SECONDS = 30.0


class TopicMaker:
    """Makes topics with unique names and removes them again.

    A mock broker cannot create topics: there the name is new all the same, and the topic appears with 4
    partitions at its first use, whatever was asked for.
    """

    def __init__(self, bootstrap_servers: str, *, can_create: bool) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        self._can_create = can_create
        self._made: list[str] = []

    def __call__(
        self, partitions: int = 3, config: Mapping[str, str] | None = None, prefix: str = "test"
    ) -> str:
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        if not self._can_create:
            self._admin.list_topics(name, timeout=_REQUEST_SECONDS)
            return name
        topic = NewTopic(name, num_partitions=partitions, config=dict(config or {}))
        self._admin.create_topics([topic], operation_timeout=_REQUEST_SECONDS)[name].result()
        self._made.append(name)
        return name

    def remove_all(self) -> None:
        if self._made:
            for future in self._admin.delete_topics(self._made).values():
                future.result()


def ensure_topic(bootstrap_servers: str, name: str) -> None:
    """Make a topic of that very name unless it is there, for what every producer sends without being asked."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    future = admin.create_topics([NewTopic(name, num_partitions=1)], operation_timeout=_REQUEST_SECONDS)[name]
    try:
        future.result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
