"""Secrets planted in prompts and answers, looked for everywhere they must not be: the database's files, the topics, the
logs; in every content mode. What is looked for is first found where it may be, so that a blind search would fail."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest
from confluent_kafka import TopicPartition

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_producer import AuditLogger
from llm_audit_schemas import HashKey, topics
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.consumer.consumer_process import consumers, eventually
from tests.consumer.tables import Tables
from tests.content.trail import PUBLIC_KEY
from tests.parts.messages import DEADLINE_SECONDS, new_consumer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

MODES = ("none", "hash", "encrypted")
HASH_KEY = HashKey("k1", secrets.token_bytes(32))


def secret(where: str) -> str:
    """Short, so that nothing compresses it away; random, so that nothing else holds it."""
    return f"planted-{where}-{secrets.token_hex(8)}"


@dataclass
class Trail:
    postgres: EmbeddedPostgres
    key_store: Path
    entries: str
    content: str
    metadata: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    logged: str = ""

    def cluster(self) -> Iterator[tuple[Path, bytes]]:
        """Every file of the database cluster and of the key store, as it lies on the disk."""
        connection = psycopg2.connect(self.postgres.dsn)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        connection.close()
        for path in [*self.postgres.files.data.rglob("*"), self.key_store]:
            if path.is_file():
                yield path, path.read_bytes()


def messages_of(bootstrap_servers: str, topic: str) -> list[bytes]:
    """Everything that a topic's messages say: keys, headers and values."""
    consumer = new_consumer(bootstrap_servers, f"search-{topic}")
    found: list[bytes] = []
    try:
        partitions = consumer.list_topics(topic, timeout=DEADLINE_SECONDS).topics[topic].partitions
        for number in partitions:
            place = TopicPartition(topic, number, 0)
            _low, high = consumer.get_watermark_offsets(place, timeout=DEADLINE_SECONDS)
            consumer.assign([place])
            for _ in range(high):
                message = consumer.poll(DEADLINE_SECONDS)
                assert message is not None
                assert message.error() is None
                found.append(repr((message.key(), message.headers())).encode() + (message.value() or b""))
    finally:
        consumer.close()
    return found


def inflated(data: bytes) -> bytes:
    """What zlib streams in these bytes say: compressed is not encrypted."""
    said = b""
    at = data.find(b"\x78")
    while at >= 0:
        with contextlib.suppress(zlib.error):
            said += zlib.decompressobj().decompress(data[at:], 100_000)
        at = data.find(b"\x78", at + 1)
    return said


@pytest.fixture(scope="module")
def trail(kafka_broker: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trail]:
    maker = TopicMaker(kafka_broker.bootstrap_servers, can_create=kafka_broker.is_real)
    with EmbeddedPostgres(ephemeral=True) as postgres:
        key_store = tmp_path_factory.mktemp("keys") / "keys"
        made = Trail(postgres, key_store, maker(partitions=1), maker(partitions=1))
        _run(kafka_broker.bootstrap_servers, made)
        yield made
    maker.remove_all()


def _run(bootstrap_servers: str, trail: Trail) -> None:
    """Calls in every mode, with a consumer that stores what they leave; then the consumer has ended."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("llm_audit_producer")
    logger.addHandler(handler)
    with consumers(bootstrap_servers) as start:
        consumer = start(
            trail.entries,
            trail.postgres.dsn,
            content_topic=trail.content,
            key_store_dsn=f"file:{trail.key_store}",
            log_level="debug",
        )
        for mode in MODES:
            _call(bootstrap_servers, trail, mode)
        tables = Tables(trail.postgres.dsn)
        eventually(lambda: tables.row_count() == len(MODES), "the entries")
        eventually(lambda: tables.query("SELECT count(*) FROM llm_audit_content") == [(2,)], "the content")
        assert consumer.terminate() == 0
        lines += [json.dumps(line) for line in consumer.log]
    logger.removeHandler(handler)
    trail.logged = "\n".join(lines)


def _call(bootstrap_servers: str, trail: Trail, mode: str) -> None:
    audit = AuditLogger(
        kafka=KafkaConnection(bootstrap_servers=bootstrap_servers),
        topic=trail.entries,
        content_topic=trail.content,
        markers_topic=topics.MARKERS,
        content_mode=mode,
        content_public_key=PUBLIC_KEY,
        hash_key=HASH_KEY,
    )
    system, question, answer, open_ = (secret(f"{mode}-{each}") for each in ("system", "in", "out", "open"))
    audit.log_request(
        user_id="ada",
        model="claude-opus-4-8",
        system_prompt=system,
        input_text=question,
        output_text=answer,
        metadata={"open": open_},
    )
    assert audit.close(DEADLINE_SECONDS) == 0
    trail.secrets += [system, question, answer]
    trail.metadata.append(open_)


def test_the_search_finds_what_is_there(trail: Trail, kafka_broker: KafkaUnderTest) -> None:
    files = b"".join(data for _, data in trail.cluster())
    sent = b"".join(messages_of(kafka_broker.bootstrap_servers, trail.entries))
    for planted in trail.metadata:
        assert planted.encode() in files
        assert planted.encode() in sent
    assert inflated(b"xx" + zlib.compress(b"planted")) == b"planted"


def test_no_secret_is_in_any_file_of_the_cluster(trail: Trail) -> None:
    for path, data in trail.cluster():
        for planted in trail.secrets:
            assert planted.encode() not in data, f"{planted} is in {path}"


def test_no_secret_is_in_any_message(trail: Trail, kafka_broker: KafkaUnderTest) -> None:
    for topic, least in ((trail.entries, len(MODES)), (trail.content, 2)):
        messages = messages_of(kafka_broker.bootstrap_servers, topic)
        assert len(messages) == least
        for message in messages:
            for planted in trail.secrets:
                assert planted.encode() not in message
                assert planted.encode() not in inflated(message)


def test_no_stored_content_is_merely_compressed(trail: Trail) -> None:
    blobs = Tables(trail.postgres.dsn).query("SELECT wrapped FROM llm_audit_content")
    assert len(blobs) == 2
    for (wrapped,) in blobs:
        for planted in trail.secrets:
            assert planted.encode() not in inflated(bytes(wrapped))


def test_no_secret_and_no_key_is_in_any_log(trail: Trail) -> None:
    assert "consumer started" in trail.logged
    for planted in [*trail.secrets, HASH_KEY.secret.hex()]:
        assert planted not in trail.logged


def test_each_mode_left_what_it_says(trail: Trail) -> None:
    rows = Tables(trail.postgres.dsn).query(
        "SELECT content_mode, input_hash IS NOT NULL, (SELECT count(*) FROM llm_audit_content AS content "
        "WHERE content.request_id = log.request_id) FROM llm_audit_log AS log ORDER BY request_id"
    )
    assert rows == [("none", False, 0), ("hash", True, 0), ("encrypted", True, 2)]
