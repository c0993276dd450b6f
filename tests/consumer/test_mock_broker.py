"""The daemon on librdkafka's mock broker, as a first look without Java runs it."""

from __future__ import annotations

from tests.consumer.consumer_process import consumers, eventually
from tests.consumer.entries import send, send_entries
from tests.consumer.tables import Tables
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest


def test_the_daemon_runs_on_the_mock_broker_and_names_the_topic_by_its_name(
    mock_broker: KafkaUnderTest, database: Database, tables: Tables
) -> None:
    sent = send_entries(mock_broker.bootstrap_servers, "entries", 20, partitions=4)
    send(mock_broker.bootstrap_servers, "entries", [(0, b"junk", None), (3, None, None)])
    with consumers(mock_broker.bootstrap_servers) as start:
        consumer = start("entries", database.dsn)
        eventually(lambda: sum(tables.offsets().values()) == 22, "every message handled")
        assert sorted(tables.request_ids()) == sorted(sent)
        assert tables.dead_letter_reasons() == {"not_framed": 1, "empty": 1}
        ((topic_id,),) = tables.query("SELECT DISTINCT topic_id FROM llm_audit_offset")
        assert topic_id.startswith("name:entries")
        assert consumer.terminate() == 0
