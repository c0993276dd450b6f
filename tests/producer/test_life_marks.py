"""What a producer says of its own life: enough to tell a missing entry from a late one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llm_audit_producer import AuditLogger, KafkaSink, MemorySink, recorder
from llm_audit_producer.sinks import AuditSink
from llm_audit_schemas import MarkerCodec, ProducerMarker, topics
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.parts.messages import new_consumer
from tests.parts.servers import KafkaUnderTest
from tests.spool.parts import HangingSink, until


class MarkedSink(MemorySink):
    """Keeps markers too, and what had been delivered when each came."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[ProducerMarker] = []
        self.entries_before: list[int] = []

    def after_fork(self) -> MarkedSink:
        return MarkedSink()

    def mark(self, marker: ProducerMarker) -> None:
        self.marks.append(marker)
        self.entries_before.append(len(self.entries))


def logger_to(sink: AuditSink, **settings: object) -> AuditLogger:
    return AuditLogger(sink, **{"service": "shop", "environment": "test", **settings})


def kinds(sink: MarkedSink | HangingSink) -> list[str]:
    return [marker.kind for marker in sink.marks]


def test_a_life_begins_before_its_first_entry_and_ends_after_its_last() -> None:
    sink = MarkedSink()
    logger = logger_to(sink)
    for _ in range(7):
        logger.log_request("u", "m")
    logger.close()
    started, ended = sink.marks
    assert (kinds(sink), sink.entries_before) == (["started", "ended"], [0, 7])
    assert started.producer_id == ended.producer_id == logger.producer_id
    assert (ended.last_sequence, ended.dropped) == (6, 0)
    assert (ended.service, ended.environment, ended.delivery_mode) == ("shop", "test", "memory")
    assert (ended.process_id, ended.host, ended.predecessor) == (os.getpid(), os.uname().nodename, None)


def test_a_producer_that_never_had_a_call_says_nothing() -> None:
    sink = MarkedSink()
    logger_to(sink).close()
    assert sink.marks == []


def test_a_heartbeat_counts_calls_that_wait_and_calls_that_were_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_TICK_SECONDS", 0.02)
    sink = MarkedSink()
    logger = logger_to(sink, heartbeat_seconds=0.0, queue_bytes=50_000)
    logger.log_request("u", "m")
    logger.log_request("u", "m", metadata={"much": "x" * 60_000})  # larger than the queue
    logger.log_request("u", "m")
    until(lambda: "heartbeat" in kinds(sink) and sink.marks[-1].last_sequence == 2, "a heartbeat")
    assert sink.marks[-1].dropped == 1
    logger.close()
    assert len(sink.entries) == 2
    assert max(entry.sequence for entry in sink.entries) <= sink.marks[-1].last_sequence == 2
    assert kinds(sink)[-1] == "ended"


@pytest.mark.parametrize("mode", ["memory", "spool"])
def test_who_could_not_hand_everything_over_does_not_say_that_it_ended(tmp_path: Path, mode: str) -> None:
    sink = HangingSink()
    logger = logger_to(sink, durability=mode, spool_directory=tmp_path)
    logger.log_request("u", "m")
    logger.close(0.3)
    assert "ended" not in kinds(sink)


def test_a_forked_child_names_its_parent() -> None:
    sink = MarkedSink()
    logger = logger_to(sink)
    logger.log_request("u", "m")
    logger.flush(10)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # the sink is a new one there
        logger.log_request("u", "m")
        logger.flush(10)
        (started,) = logger._recorder._sink.marks  # type: ignore[attr-defined]  # a MarkedSink's
        os.write(writing, f"{started.producer_id} {started.predecessor} {started.last_sequence}".encode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    said = os.read(reading, 4096).decode().split()
    assert said == [said[0], logger.producer_id, "0"]
    assert said[0] != logger.producer_id
    logger.close()


def test_markers_travel_on_a_topic_of_their_own_keyed_as_the_entries(
    kafka_broker: KafkaUnderTest, topic: str
) -> None:
    logger = logger_to(KafkaSink(KafkaConnection(bootstrap_servers=kafka_broker.bootstrap_servers), topic))
    logger.log_request("u", "m")
    assert logger.close() == 0
    consumer = new_consumer(kafka_broker.bootstrap_servers, f"markers-{topic}")
    consumer.subscribe([topics.MARKERS])
    found: list[ProducerMarker] = []

    def both_found() -> bool:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None and message.key() == logger.producer_id.encode():
            found.append(MarkerCodec().decode(message.value()))
        return len(found) == 2

    until(both_found, "both markers")
    consumer.close()
    assert [(marker.kind, marker.last_sequence) for marker in found] == [("started", 0), ("ended", 0)]
