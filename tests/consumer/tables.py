"""What the consumer left in its tables."""

from __future__ import annotations

from typing import Any

import psycopg2
from confluent_kafka import ConsumerGroupTopicPartitions, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from llm_audit_schemas import topics


class Tables:
    """Reads (and for some tests meddles with) the consumer's tables, over a connection of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self._dsn, connect_timeout=5)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def row_count(self) -> int:
        """Rows in the log; 0 before its table is made."""
        try:
            return int(self.query("SELECT count(*) FROM llm_audit_log")[0][0])
        except psycopg2.errors.UndefinedTable:
            return 0

    def request_ids(self) -> list[str]:
        return [each for (each,) in self.query("SELECT request_id::text FROM llm_audit_log")]

    def offsets(self) -> dict[int, int]:
        """Partition to next offset, of the newest life of the entries' topic alone where there are several."""
        return dict(
            self.query(
                "SELECT partition, next_offset FROM llm_audit_offset "
                f"WHERE topic <> '{topics.MARKERS}' ORDER BY updated_at"
            )
        )

    def dead_letter_reasons(self) -> dict[str, int]:
        return dict(self.query("SELECT reason, count(*) FROM llm_audit_dead_letter GROUP BY reason"))

    def dead_letter_count(self) -> int:
        return int(self.query("SELECT count(*) FROM llm_audit_dead_letter")[0][0])


def topic_id(bootstrap_servers: str, topic: str) -> str:
    """Kafka's own id of a topic, asked for in the plainest way."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    (future,) = admin.describe_topics(TopicCollection([topic])).values()
    return str(future.result(30).topic_id)


def advised_offsets(bootstrap_servers: str, group: str, topic: str) -> dict[int, int]:
    """The offsets that Kafka holds for a group; partitions without one are left out."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, each) for each in range(3)])
    (future,) = admin.list_consumer_group_offsets([asked]).values()
    found = future.result(30).topic_partitions or []
    return {each.partition: each.offset for each in found if each.offset >= 0}
