"""The Kafka sink on a real Kafka: what lies on the topic, brokers that are away or silent, entries too large."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anthropic import Anthropic
from confluent_kafka import KafkaError, Message, TopicPartition

from llm_audit_producer import AuditLogger, AuditSettingsError, KafkaSink
from llm_audit_producer.anthropic_sdk.middleware import Audit
from llm_audit_producer.sinks.kafka import _Way
from llm_audit_producer.sinks.kafka_clients import _DELIVERY_SETTINGS
from llm_audit_schemas import AuditEntry, EntryCodec
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.wire import FIXED_IDS, IDENTITY_HEADER, schema_id_of
from tests.parts.messages import consume_count, new_consumer
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker
from tests.producer.conftest import CALL
from tests.producer.sinks import Ledger, entries, entry


def sink_on(broker: KafkaUnderTest, topic: str, **extra: str | int | bool) -> tuple[KafkaSink, Ledger]:
    sink = KafkaSink(
        KafkaConnection(bootstrap_servers=broker.bootstrap_servers),
        topic,
        extra={name.replace("_", "."): value for name, value in extra.items()},
    )
    ledger = Ledger()
    sink.open(ledger)
    return sink, ledger


def messages_on(broker: KafkaUnderTest, topic: str, count: int) -> list[Message]:
    """So many, and not one more: the ends of the partitions are asked for, too."""
    consumer = new_consumer(broker.bootstrap_servers, f"group-{topic}")
    consumer.subscribe([topic])
    try:
        found = consume_count(consumer, count) if count else []
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        ends = [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20) for number in partitions
        ]
        assert sum(high - low for low, high in ends) <= count + len(partitions)
    finally:
        consumer.close()
    return found


def values_of(messages: list[Message]) -> list[AuditEntry]:
    return [EntryCodec().decode(message.value()) for message in messages]


def test_a_message_is_keyed_framed_and_carries_its_identity(kafka_broker: KafkaUnderTest, topic: str) -> None:
    sink, ledger = sink_on(kafka_broker, topic)
    given = entries(20)
    for one in given:
        sink.append(one)
    assert sink.close(30) == 0
    assert ledger.delivered_count == 20
    found = messages_on(kafka_broker, topic, 20)
    assert values_of(found) == given
    for one, message in zip(given, found, strict=True):
        assert message.key() == one.producer_id.encode()
        assert message.headers() == [(IDENTITY_HEADER, uuid.UUID(one.request_id).bytes)]
        assert schema_id_of(message.value()) == FIXED_IDS["audit_entry.v1"]
    assert len({message.partition() for message in found}) == 1


def test_delivery_is_idempotent_acknowledged_by_all_and_compressed() -> None:
    assert _DELIVERY_SETTINGS["enable.idempotence"] is True
    assert _DELIVERY_SETTINGS["acks"] == "all"
    assert _DELIVERY_SETTINGS["compression.type"] == "lz4"
    with pytest.raises(AuditSettingsError, match="acks"):  # librdkafka itself holds the two together
        KafkaSink(KafkaConnection(), "t", extra={"acks": 1}).open(Ledger())


def test_a_password_in_a_refused_configuration_is_not_shown() -> None:
    connection = KafkaConnection(
        security_protocol="SASL_SSL", sasl_mechanism="NO-SUCH", sasl_username="me", sasl_password="hunter2"
    )
    with pytest.raises(AuditSettingsError) as caught:
        KafkaSink(connection, "t").open(Ledger())
    assert "hunter2" not in str(caught.value) + repr(connection)


@contextmanager
def silent_broker() -> Iterator[str]:
    """Accepts connections and never answers."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            try:
                while True:
                    accepted.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in accepted:
        connection.close()


@pytest.mark.parametrize("silent", [False, True])
def test_a_broker_that_is_away_or_silent_disturbs_no_caller(
    silent: bool, plain: Anthropic, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller goes on while not one entry can be delivered; the end takes its bound, and counts them all."""
    with silent_broker() as address:
        audit = Audit(
            sink=KafkaSink(KafkaConnection(bootstrap_servers=address if silent else "127.0.0.1:1"), "t")
        )
        client = plain.with_middleware(audit)
        for _ in range(5):
            assert client.messages.create(**CALL).id == "msg_01"
        for _ in range(995):
            audit.logger.log_request(model="m")
        assert audit.logger.statistics().delivered == 0
        assert audit.flush(0.1) > 0
        begun = time.monotonic()
        assert audit.close(0.5) == 1000
        assert time.monotonic() - begun < 15
    assert audit.logger.statistics().lost == {"not_drained": 1000}
    assert "1000 audit entries could not be delivered before the end" in caplog.text


def test_a_process_ends_within_its_bound_though_the_broker_is_silent() -> None:
    code = (
        "import sys; from llm_audit_producer import AuditLogger\n"
        "logger = AuditLogger(drain_seconds=0.3)\n"
        "for _ in range(10): logger.log_request(model='m')\n"
    )
    with silent_broker() as address:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "LLM_AUDIT_KAFKA_BOOTSTRAP": address,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    assert "10 audit entries could not be delivered" in done.stderr


def test_a_full_queue_of_the_client_waits_and_loses_nothing(kafka_broker: KafkaUnderTest, topic: str) -> None:
    sink, ledger = sink_on(kafka_broker, topic, queue_buffering_max_messages=10)
    for one in entries(500):
        sink.append(one)
    assert sink.close(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (500, [])


def test_closing_ends_an_append_that_waits_for_room() -> None:
    logger = AuditLogger(
        KafkaSink(
            KafkaConnection(bootstrap_servers="127.0.0.1:1"), "t", extra={"queue.buffering.max.messages": 3}
        )
    )
    for _ in range(10):
        logger.log_request(model="m")
    assert logger.close(0.3) == 10
    thread = logger._recorder._thread
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()
    assert logger.statistics().lost == {"not_drained": 10}


# Sizes: the topic takes 4000 bytes, so one entry of some 2500 fits and two in a batch do not.
SMALL = {"max.message.bytes": "4000"}


def random_text(size: int) -> str:
    """Text that compression cannot make much smaller."""
    return os.urandom(size // 2).hex()


def test_entries_that_fit_arrive_whole_though_their_batch_is_too_large(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker
) -> None:
    topic = make_topic(partitions=1, config=SMALL)
    sink, ledger = sink_on(kafka_broker, topic, linger_ms=200)
    given = entries(30)
    given = [
        entry(one.sequence, producer_id=one.producer_id, metadata={"a": random_text(3000)}) for one in given
    ]
    for one in given:
        sink.append(one)
    assert sink.close(60) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (30, [])
    found = values_of(messages_on(kafka_broker, topic, 30))
    assert sorted(found, key=lambda one: one.sequence) == given


def test_an_entry_larger_than_the_topic_takes_arrives_reduced_and_says_so(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = make_topic(partitions=1, config=SMALL)
    sink, ledger = sink_on(kafka_broker, topic)
    large = entry(0, metadata={"a": random_text(30_000)}, details={"b": 1}, error_message="kept")
    sink.append(large)
    sink.append(entry(1))
    assert sink.close(60) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (2, [])
    found = sorted(values_of(messages_on(kafka_broker, topic, 2)), key=lambda one: one.sequence)
    assert found[0].request_id == large.request_id
    assert (found[0].metadata, found[0].truncated, found[0].error_message) == (None, True, "kept")
    assert found[0].details == {"truncated": ["metadata", "details"]}
    assert (found[1].truncated, found[1].sequence) == (False, 1)
    assert f"{large.request_id} is larger than the topic takes" in caplog.text


def test_an_entry_larger_than_the_client_takes_arrives_reduced(
    kafka_broker: KafkaUnderTest, topic: str
) -> None:
    sink, ledger = sink_on(kafka_broker, topic)
    sink.append(entry(0, metadata={"a": random_text(1_500_000)}))
    assert sink.close(60) == 0
    assert ledger.delivered_count == 1
    (found,) = values_of(messages_on(kafka_broker, topic, 1))
    assert (found.metadata, found.truncated) == (None, True)


def test_an_entry_too_large_even_so_is_counted_and_the_mend_is_named(
    kafka_broker: KafkaUnderTest, make_topic: TopicMaker
) -> None:
    topic = make_topic(partitions=1, config=SMALL)
    sink, ledger = sink_on(kafka_broker, topic)
    lost = entry(0, error_message=random_text(30_000))
    sink.append(lost)
    sink.append(entry(1))
    assert sink.close(60) == 0
    assert (ledger.delivered_count, ledger.lost_ids, dict(ledger.lost_reasons)) == (
        1,
        [lost.request_id],
        {"too_large": 1},
    )
    assert "max.message.bytes" in ledger.messages[0]


def test_a_topic_that_is_not_there_loses_the_entry_with_a_hint(kafka_broker: KafkaUnderTest) -> None:
    if not kafka_broker.is_real:
        pytest.fail("the mock broker makes every topic; this needs a real Kafka")
    sink, ledger = sink_on(kafka_broker, "no-such-topic", topic_metadata_propagation_max_ms=0)
    sink.append(entry())
    assert sink.close(60) == 0
    assert dict(ledger.lost_reasons) == {"refused": 1}
    assert "llm-audit topic create" in ledger.messages[0]


def test_an_entry_that_does_not_fit_the_schema_is_counted(kafka_broker: KafkaUnderTest, topic: str) -> None:
    logger = AuditLogger(KafkaSink(KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers), topic))
    logger.log_request(model="m")
    assert logger.flush(30) == 0
    logger._recorder._sink.append(entry(0, attempts=1))
    with pytest.raises(Exception, match="attempts"):
        logger._recorder._sink.append(entry(0, attempts=2**40))
    assert logger.close(30) == 0


def test_the_broker_coming_back_gets_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Entries made while there is no broker at all wait for it."""
    from llm_audit_consumer.embedded import MockKafka

    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    caplog.set_level(logging.WARNING)
    sink, ledger = sink_on(KafkaUnderTest("mock", f"127.0.0.1:{port}"), "t", reconnect_backoff_max_ms=100)
    for one in entries(10):
        sink.append(one)
    assert sink.flush(0.3) == 10
    assert ledger.delivered_count == 0
    with MockKafka() as mock:
        host, mock_port = mock.bootstrap_servers.rsplit(":", 1)
        with forward(port, host, int(mock_port)):
            assert sink.close(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (10, [])
    assert "entries wait;" in caplog.text


@contextmanager
def forward(port: int, host: str, to_port: int) -> Iterator[None]:
    """A port that leads to another one from now on."""
    sockets: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            return

    server = socket.create_server(("127.0.0.1", port))

    def accept() -> None:
        try:
            while True:
                one = server.accept()[0]
                other = socket.create_connection((host, to_port))
                sockets.extend([one, other])
                for ends in ((one, other), (other, one)):
                    threading.Thread(target=pump, args=ends, daemon=True).start()
        except OSError:
            return

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for one in sockets:
            one.close()


def test_a_client_that_gave_up_is_replaced_and_what_it_held_is_sent_again(
    kafka_broker: KafkaUnderTest, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It happens after a broker lost data; the report is made up here, since librdkafka cannot be asked for one."""
    ledger = Ledger()
    sink = KafkaSink(KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers), topic)
    sink.open(ledger)
    assert sink._clients is not None
    first = sink._clients.batching
    given = entries(3)
    sink.append(given[0])
    assert sink.flush(30) == 0
    sink._unreported += 1
    gave_up = KafkaError(KafkaError._FATAL, "made up", fatal=True)
    sink._reported(given[1], _Way.BATCHED, first, gave_up, None)  # type: ignore[arg-type]  # the message is not read
    sink.append(given[2])
    assert sink.flush(30) == 0
    assert sink._clients.batching is not first
    assert sink.close(30) == 0
    assert (ledger.delivered_count, ledger.lost_ids) == (3, [])
    assert sorted(ledger.delivered_ids) == sorted(one.request_id for one in given)
    assert "is replaced" in caplog.text
