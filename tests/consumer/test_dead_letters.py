"""Good and bad messages on one topic: the good ones become rows, the bad ones are kept whole with the reason."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from llm_audit_consumer.store import migrate
from llm_audit_schemas import schema_files, wire
from llm_audit_schemas.text import NUL_MARK
from tests.consumer.consumer_process import StartConsumer, eventually
from tests.consumer.daemon_thread import daemon_thread
from tests.consumer.entries import CODEC, new_entry, new_record, send
from tests.consumer.tables import Tables, topic_id
from tests.parts.databases import Database
from tests.parts.messages import new_producer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

GOOD = CODEC.encode_record(new_record())
BODY = GOOD[wire.HEADER_BYTES :]


def bad_messages() -> list[tuple[bytes | None, bytes | None, str]]:
    """Every kind of message that cannot become a row: value, identity header, reason."""
    mismatched = new_record()
    return [
        (None, None, "empty"),
        (b"", None, "not_framed"),
        (b"\xff\x00 plain garbage \x00", b"\x00not sixteen bytes", "not_framed"),
        (wire.frame(7, BODY), None, "unknown_schema_id"),
        (wire.frame(wire.FIXED_IDS[schema_files.MARKER], BODY), None, "unknown_schema_id"),
        (GOOD[:-3], None, "bad_body"),
        (GOOD + b"\x00", None, "trailing_bytes"),
        (CODEC.encode_record(mismatched), uuid4().bytes, "identity_mismatch"),
        (CODEC.encode_record(new_record(metadata="[1]")), None, "invalid_json"),
        (CODEC.encode_record(new_record(details="{")), None, "invalid_json"),
        (CODEC.encode_record(new_record(status="splendid")), None, "invalid_entry"),
        (CODEC.encode_record(new_record(metadata='{"a": 1e999999}')), None, "unstorable"),
    ]


def hostile_but_storable() -> list[bytes]:
    """What other writers may send and what is made storable rather than refused."""
    return [
        CODEC.encode_record(each)
        for each in (
            new_record(metadata=r'{"a": "\u0000"}', user_id="nul\x00"),
            new_record(details=r'{"a\ud800": ["\udfff"], "n": NaN}'),
            new_record(latency_ms=2**62, input_tokens=-(2**63)),
            new_record(tool_names=["\x00", '"', "\\", "a,b", "{}", ""], error_message="tab\t\\N\r\n"),
            new_record(cost_usd=Decimal("-999999999999.999999999999"), model="m" * 10_000),
        )
    ]


def test_bad_messages_are_kept_whole_and_good_ones_become_rows(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    bad, hostile = bad_messages(), hostile_but_storable()
    messages: list[tuple[int, bytes | None, bytes | None]] = []
    for value, identity, _ in bad:
        entry = new_entry()
        messages.append((0, CODEC.encode(entry), UUID(entry.request_id).bytes))
        messages.append((1, value, identity))
    messages += [(2, value, None) for value in hostile]
    places = send(kafka_broker.bootstrap_servers, topic, messages)
    consumer = start(topic, database.dsn)
    eventually(lambda: sum(tables.offsets().values()) == len(messages), "every message handled")

    assert tables.row_count() == len(bad) + len(hostile)
    found = tables.query(
        'SELECT topic_id, topic, partition, "offset", reason, value, identity, key FROM llm_audit_dead_letter '
        'ORDER BY partition, "offset"'
    )
    own_id = topic_id(kafka_broker.bootstrap_servers, topic)
    places_of_bad = [place for place in places if place[0] == 1]
    assert [
        (*each[:5], each[5] and bytes(each[5]), each[6] and bytes(each[6]), bytes(each[7])) for each in found
    ] == [
        (own_id, topic, partition, offset, reason, value, identity, b"key")
        for (partition, offset), (value, identity, reason) in zip(places_of_bad, bad, strict=True)
    ]
    assert tables.query("SELECT metadata, user_id FROM llm_audit_log WHERE user_id LIKE 'nul%%'") == [
        ({"a": NUL_MARK}, f"nul{NUL_MARK}")
    ]
    assert tables.query(
        "SELECT tool_names, error_message FROM llm_audit_log WHERE tool_names IS NOT NULL"
    ) == [([NUL_MARK, '"', "\\", "a,b", "{}", ""], "tab\t\\N\r\n")]
    eventually(
        lambda: sum(consumer.metrics().values("llm_audit_consumer_dead_letters_total").values()) == len(bad),
        "the metric",
    )
    by_reason = {
        dict(labels)["reason"]: value
        for labels, value in consumer.metrics().values("llm_audit_consumer_dead_letters_total").items()
    }
    assert by_reason == tables.dead_letter_reasons()
    assert consumer.get("/readyz")[0] == 200


def test_reading_the_same_messages_again_doubles_no_dead_letter(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    send(kafka_broker.bootstrap_servers, topic, [(0, b"junk", None), (0, GOOD, None)])
    first = start(topic, database.dsn)
    eventually(lambda: tables.offsets() == {0: 2}, "both messages handled")
    assert first.terminate() == 0
    tables.query("DELETE FROM llm_audit_offset")
    second = start(topic, database.dsn)
    eventually(lambda: tables.offsets() == {0: 2}, "both handled again")
    assert (tables.row_count(), tables.dead_letter_count()) == (1, 1)
    eventually(
        lambda: second.metrics().value("llm_audit_consumer_duplicates_total") == 1, "the duplicate counted"
    )


def test_no_content_reaches_the_log(
    start: StartConsumer, kafka_broker: KafkaUnderTest, topic: str, database: Database, tables: Tables
) -> None:
    secret = "the-users-own-words"
    entry = CODEC.encode_record(new_record(error_message=secret, user_id=secret, metadata=f'["{secret}"]'))
    send(
        kafka_broker.bootstrap_servers,
        topic,
        [(0, secret.encode(), None), (0, entry, uuid4().bytes), (0, entry, None)],
    )
    consumer = start(topic, database.dsn, log_level="debug")
    eventually(lambda: tables.offsets() == {0: 3}, "the messages handled")
    assert consumer.terminate() == 0
    assert secret not in json.dumps(consumer.log)
    assert tables.dead_letter_count() == 3
    details = tables.query("SELECT string_agg(detail, ' ') FROM llm_audit_dead_letter")
    assert secret not in str(details)


@pytest.mark.parametrize("milliseconds", [1, 2**53])
def test_a_message_from_the_end_of_time_harms_nothing(
    kafka_broker: KafkaUnderTest,
    make_topic: TopicMaker,
    database: Database,
    tables: Tables,
    milliseconds: int,
) -> None:
    """A producer may set any timestamp on topics that allow it."""
    topic = make_topic(partitions=1, config={"message.timestamp.after.max.ms": str(2**63 - 1)})
    migrate(database.dsn)
    producer = new_producer(kafka_broker.bootstrap_servers)
    producer.produce(topic, GOOD, timestamp=milliseconds)
    producer.produce(topic, b"junk", timestamp=milliseconds)
    assert producer.flush(30) == 0
    with daemon_thread(kafka_broker.bootstrap_servers, topic, database.dsn):
        eventually(lambda: tables.offsets() == {0: 2}, "both messages handled")
    assert (tables.row_count(), tables.dead_letter_count()) == (1, 1)
