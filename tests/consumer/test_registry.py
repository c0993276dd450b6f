"""With a schema registry: the producer registers, the daemon looks up, and a registry that is away skips nothing."""

from __future__ import annotations

import pytest

from llm_audit_consumer.errors import BrokerUnavailableError
from llm_audit_consumer.kafka.registry import registry_schemas
from llm_audit_producer import AuditLogger
from llm_audit_schemas import schema_files
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.consumer.consumer_process import StartConsumer, eventually
from tests.consumer.entries import send_entries
from tests.consumer.tables import Tables
from tests.contract.local_registry import local_registry
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest


def test_entries_of_both_kinds_of_writers_become_rows(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    connection = KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers)
    with local_registry(7) as registry:
        registering = AuditLogger(kafka=connection, topic=topic, schema_registry=registry.url)
        registered = registering.log_request(user_id="registered")
        assert registering.close(30) == 0
        fixed = send_entries(kafka_broker.bootstrap_servers, topic, 1)
        start(topic, database.dsn, schema_registry=registry.url)
        eventually(lambda: tables.row_count() == 2, "both rows")
    assert sorted(tables.request_ids()) == sorted([registered, *fixed])
    assert tables.dead_letter_count() == 0


def test_a_schema_that_cannot_be_asked_for_now_is_no_unknown_one() -> None:
    with local_registry(7) as registry:
        schema_id = registry.register(schema_files.schema_text(schema_files.ENTRY))
        lookup = registry_schemas(registry.url)
        assert lookup(schema_id) == schema_files.raw_schema(schema_files.ENTRY)
        assert lookup(schema_id + 1) is None
    with pytest.raises(BrokerUnavailableError, match=f"schema {schema_id + 2}") as caught:
        lookup(schema_id + 2)
    assert "nothing was skipped" in caught.value.hint
