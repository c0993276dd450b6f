"""The ends and the children of a process: draining at exit, forks, multiprocessing's workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_audit_producer import FileAuditStorage
from llm_audit_schemas import AuditEntry, EntryCodec
from tests.parts.messages import consume_count, new_consumer
from tests.parts.servers import KafkaUnderTest

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 60

PREAMBLE = """
import multiprocessing, os, sys, threading
from llm_audit_producer import AuditLogger, FileAuditStorage, KafkaSink, MemorySink
from llm_audit_schemas.kafka_connection import KafkaConnection
where = sys.argv[1]
def storage():
    if where.startswith("/"):
        return FileAuditStorage(where)
    return KafkaSink(KafkaConnection(bootstrap_servers=where), sys.argv[2])
"""


def run(code: str, *arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    return done.stdout


def in_files(directory: Path) -> list[AuditEntry]:
    return list(FileAuditStorage(directory).query())


def on_topic(broker: KafkaUnderTest, topic: str, count: int) -> list[AuditEntry]:
    consumer = new_consumer(broker.bootstrap_servers, f"group-{topic}")
    consumer.subscribe([topic])
    try:
        messages = consume_count(consumer, count)
    finally:
        consumer.close()
    return [EntryCodec().decode(message.value()) for message in messages]


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise KeyError('the service failed')", 1),
        (
            "import atexit; atexit.register(lambda: logger.log_request(model='m')); logger.log_request(model='m')",
            0,
        ),
    ],
)
def test_the_end_of_the_process_drains(ending: str, code: int, tmp_path: Path) -> None:
    run(
        "logger = AuditLogger(storage())\nfor _ in range(300): logger.log_request(model='m')\n" + ending,
        str(tmp_path),
        expect=code,
    )
    # Exit handlers run last registered first, so one that the service registers later still records.
    assert len(in_files(tmp_path)) == (302 if "atexit" in ending else 300)


def test_the_end_drains_to_kafka(kafka_broker: KafkaUnderTest, topic: str) -> None:
    run(
        "logger = AuditLogger(storage())\nfor _ in range(300): logger.log_request(model='m')",
        kafka_broker.bootstrap_servers,
        topic,
    )
    entries = on_topic(kafka_broker, topic, 300)
    assert [entry.sequence for entry in entries] == list(range(300))


FORKING = """
logger = AuditLogger(storage())
logger.log_request(model="parent")
logger.flush(20)
with logger._recorder._lock:  # so that what follows still waits in the parent's queue when it forks
    for _ in range(20):
        logger.log_request(model="parent")
    before = logger.producer_id
    pid = os.fork()
if pid == 0:
    assert logger.producer_id != before
    assert logger.statistics().captured == 0
    for _ in range(5):
        logger.log_request(model="child")
    ENDING
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
logger.log_request(model="parent")
"""


def check_family(entries: list[AuditEntry]) -> None:
    """Twenty-two of the parent's and five of the child's, each whole, in order and under its own name."""
    by_producer: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        by_producer.setdefault(entry.producer_id, []).append(entry)
    families = sorted((members[0].model, len(members)) for members in by_producer.values())
    assert families == [("child", 5), ("parent", 22)]
    for members in by_producer.values():
        assert [entry.sequence for entry in members] == list(range(len(members)))
    assert len({entry.request_id for entry in entries}) == 27


@pytest.mark.parametrize("ending", ["sys.exit(0)", "logger.close(); os._exit(0)"])
def test_a_forked_child_is_a_producer_of_its_own(ending: str, tmp_path: Path) -> None:
    run(FORKING.replace("ENDING", ending), str(tmp_path))
    check_family(in_files(tmp_path))


@pytest.mark.parametrize("ending", ["sys.exit(0)", "logger.close(); os._exit(0)"])
def test_a_forked_child_has_a_kafka_client_of_its_own(
    ending: str, kafka_broker: KafkaUnderTest, topic: str
) -> None:
    run(FORKING.replace("ENDING", ending), kafka_broker.bootstrap_servers, topic)
    check_family(on_topic(kafka_broker, topic, 27))


WORKERS = """
logger = None if METHOD != "fork" else AuditLogger(storage())
def work(count):
    global logger
    if logger is None:
        logger = AuditLogger(storage())
    for _ in range(count):
        logger.log_request(model="child")
if __name__ == "__main__":
    if logger is not None:
        logger.log_request(model="parent")
    context = multiprocessing.get_context(METHOD)
    processes = [context.Process(target=work, args=(50,)) for _ in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [process.exitcode for process in processes] == [0, 0]
"""


@pytest.mark.parametrize(("method", "parents"), [("fork", 1), ("spawn", 0)])
def test_a_worker_of_multiprocessing_drains_too(method: str, parents: int, tmp_path: Path) -> None:
    """Such a worker ends by ``os._exit``, after none of Python's exit handlers."""
    script = tmp_path / "service.py"
    script.write_text(PREAMBLE + f"METHOD = {method!r}\n" + WORKERS)
    entries = tmp_path / "entries"
    done = subprocess.run(
        [sys.executable, str(script), str(entries)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    models = [entry.model for entry in in_files(entries)]
    assert (models.count("child"), models.count("parent")) == (100, parents)


FORK_WITHIN = """
from anthropic import Anthropic
from llm_audit_producer.anthropic_sdk.middleware import Audit
audit = Audit(AuditLogger(storage()))
client = Anthropic(base_url=sys.argv[2], api_key="k", max_retries=0).with_middleware(audit)
call = dict(model="claude-sonnet-4-6", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
with client.messages.create(**call, stream=True) as stream:
    next(iter(stream))
    pid = os.fork()
    if pid == 0:
        stream.close()
        audit.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for _event in stream:
        pass
"""


def test_a_child_does_not_end_a_stream_that_its_parent_reads(tmp_path: Path) -> None:
    from tests.api.server import LocalApi, Reply
    from tests.producer.streams import sse, text_stream

    reply = Reply(200, sse(text_stream()), {"content-type": "text/event-stream"})
    with LocalApi(lambda _asked: reply) as api:
        run(FORK_WITHIN, str(tmp_path), api.url)
    assert [entry.status for entry in in_files(tmp_path)] == ["success"]


UNREACHABLE = """
import time
logger = AuditLogger(storage(), drain_seconds=0.3)
for _ in range(50):
    logger.log_request(model="m")
begun = time.monotonic()
import atexit
assert logger.flush(0.1) > 0
assert logger.close() == 50
print(logger.statistics().lost)
"""


def test_a_process_ends_though_the_broker_is_away() -> None:
    assert run(UNREACHABLE, "127.0.0.1:1", "topic") == "{'not_drained': 50}\n"
