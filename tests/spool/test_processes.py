"""Once a call has returned, its entry outlives the process, whatever kills it; and it is delivered once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from llm_audit_producer import FileAuditStorage, MemorySink
from tests.producer.sinks import Ledger
from tests.spool.parts import (
    DEADLINE,
    REPOSITORY,
    Service,
    in_trail,
    spool_files,
    spooling,
    until,
)

CALLING = """
logger = logger_to(HangingSink())
def call():
    while True:
        say(logger.log_request("u-1", "claude-sonnet-4-6", input_text="hello"))
for _ in range(3):
    threading.Thread(target=call, daemon=True).start()
call()
"""


def adopt_all(directory: Path, trail: Path) -> None:
    """What the next process of the service does."""
    successor = spooling(FileAuditStorage(trail), directory)
    successor.open(Ledger())
    until(lambda: not spool_files(directory), "every spool is adopted")
    successor.close(10)


@pytest.mark.parametrize("calls", [1, 50, 400])
def test_a_killed_service_loses_nothing_whose_call_returned(tmp_path: Path, calls: int) -> None:
    directory, trail = tmp_path / "spool", tmp_path / "trail"
    with Service(CALLING, str(directory), str(trail)) as process:
        returned = [process.line() for _ in range(calls)]
        process.kill()
        returned += process.rest()
    adopt_all(directory, trail)
    stored = in_trail(trail)
    counted = Counter(entry.request_id for entry in stored)
    assert set(returned) <= set(counted)
    assert set(counted.values()) == {1}
    # Beyond them only calls in flight when it died: one for each of its four threads.
    assert len(stored) - len(set(returned)) <= 4
    assert [entry.sequence for entry in stored] == list(range(len(stored)))


def test_many_who_would_adopt_deliver_it_once_between_them(tmp_path: Path) -> None:
    directory, trail = tmp_path / "spool", tmp_path / "trail"
    with Service(CALLING, str(directory), str(trail)) as process:
        for _ in range(300):
            process.line()
    (left,) = spool_files(directory)
    adopters = """
logger = logger_to(FileAuditStorage(trail + "/" + str(os.getpid())))
say(logger.log_request("u-2", "claude-sonnet-4-6"))
while os.path.exists(sys.argv[3]):
    time.sleep(0.01)
say(logger.close(30))
"""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(Service(adopters, str(directory), str(trail), str(left))) for _ in range(3)
        ]
        assert [len(each.line()) for each in processes] == [36, 36, 36]
        assert [each.line() for each in processes] == ["0", "0", "0"]
        assert [each.process.wait(DEADLINE) for each in processes] == [0, 0, 0]
    stored = [entry for folder in trail.iterdir() for entry in in_trail(folder)]
    adopted = [entry for entry in stored if entry.producer_id == left.stem]
    assert len(adopted) >= 300
    assert set(Counter(entry.request_id for entry in stored).values()) == {1}
    assert list(directory.iterdir()) == []


def test_a_forked_child_has_a_spool_of_its_own_and_leaves_its_parents_alone(tmp_path: Path) -> None:
    directory, trail = tmp_path / "spool", tmp_path / "trail"
    code = """
logger = logger_to(HangingSink())
before = [logger.log_request("parent", "m") for _ in range(20)]
child = os.fork()
if child == 0:
    for _ in range(20):
        logger.log_request("child", "m")
    if sys.argv[3] == "exits":
        logger.close(0)
        sys.exit(0)
    os.kill(os.getpid(), 9)
os.waitpid(child, 0)
for _ in range(20):
    logger.log_request("parent", "m")
say("done")
threading.Event().wait(120)
"""
    for number, ending in enumerate(("killed", "exits")):
        with Service(code, str(directory / ending), str(trail / ending), ending) as process:
            assert process.line() == "done"
            assert len(spool_files(directory / ending)) == 2
        adopt_all(directory / ending, trail / ending)
        stored = in_trail(trail / ending)
        assert Counter(entry.user_id for entry in stored) == {"parent": 40, "child": 20}, number
        for user in ("parent", "child"):
            sequences = [entry.sequence for entry in stored if entry.user_id == user]
            assert sequences == list(range(len(sequences)))
        assert len({entry.producer_id for entry in stored}) == 2


ENDINGS = {
    "return": "pass",
    "sys.exit": "sys.exit(3)",
    "exception": "raise RuntimeError('over')",
    "SIGTERM": "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), 15)",
    "SIGTERM unhandled": "os.kill(os.getpid(), 15)",
    "SIGINT": "os.kill(os.getpid(), 2)",
    "os._exit": "os._exit(0)",
    "asyncio": (
        "import asyncio\nasync def main(): logger.log_request('u', 'm'); raise SystemExit\n"
        "try: asyncio.run(main())\nexcept SystemExit: pass"
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_however_a_service_ends_every_call_that_returned_is_delivered_or_spooled(
    tmp_path: Path, ending: str
) -> None:
    directory, trail = tmp_path / "spool", tmp_path / "trail"
    code = (
        "logger = logger_to(FileAuditStorage(trail))\n"
        "for _ in range(200): logger.log_request('u', 'm')\n" + ENDINGS[ending]
    )
    with Service(code, str(directory), str(trail)) as process:
        process.process.wait(DEADLINE)
    adopt_all(directory, trail)
    # A process that is killed between delivering and forgetting delivers again: the table, not the file, drops that.
    assert {entry.sequence for entry in in_trail(trail)} == set(range(201 if ending == "asyncio" else 200))


GUNICORN_APP = """
import os
from llm_audit_producer import AuditLogger, FileAuditStorage
logger = AuditLogger(FileAuditStorage(os.environ["TRAIL"]), service="prefork")
logger.log_request("master", "m")  # before the fork: the master has a producer already

def application(environ, start_response):
    request_id = logger.log_request(environ["PATH_INFO"][1:], "m")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {request_id} {logger.producer_id}".encode()]
"""


def test_each_worker_of_a_prefork_server_has_a_producer_and_a_spool_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(GUNICORN_APP)
    directory, trail = tmp_path / "spool", tmp_path / "trail"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    command = [
        "gunicorn",
        "--preload",
        "--workers",
        "3",
        "--bind",
        f"127.0.0.1:{port}",
        "service:application",
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(tmp_path), *(path for path in sys.path if path), str(REPOSITORY)]
            ),
            "TRAIL": str(trail),
            "LLM_AUDIT_DURABILITY": "spool",
            "LLM_AUDIT_SPOOL_DIRECTORY": str(directory),
        },
    )
    answers: list[str] = []

    def answered() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/user", timeout=5) as response:
                answers.append(response.read().decode())
        except OSError:
            return False
        return True

    try:
        until(answered, "the server answers")
        until(
            lambda: answered() and len({answer.split()[0] for answer in answers}) == 3, "all workers answer"
        )
        victim = int(answers[-1].split()[0])
        os.kill(victim, signal.SIGKILL)
        until(
            lambda: answered() and len({answer.split()[0] for answer in answers}) == 4, "a new worker answers"
        )
        server.terminate()
        assert server.wait(DEADLINE) == 0
    finally:
        server.kill()
        server.wait(DEADLINE)
    adopt_all(directory, trail)
    workers = {tuple(answer.split()[::2]) for answer in answers}
    assert len(workers) == len({producer for _, producer in workers}) == 4
    stored = in_trail(trail)
    assert {answer.split()[1] for answer in answers} <= {entry.request_id for entry in stored}
    # The master's entry is the master's alone: none of its children delivers it too.
    masters = [entry for entry in stored if entry.user_id == "master"]
    assert len({(entry.request_id, entry.producer_id) for entry in masters}) == 1
    for producer in {entry.producer_id for entry in stored}:
        sequences = {entry.sequence for entry in stored if entry.producer_id == producer}
        assert sequences == set(range(len(sequences)))


def test_a_child_that_ends_normally_does_not_harm_its_parents_file(tmp_path: Path) -> None:
    """SQLite's handles that a child inherits are never closed there: closing could fold the parent's log away."""
    sink = spooling(MemorySink(), tmp_path)
    sink.open(Ledger())
    sink.close(1)
    code = """
logger = logger_to(HangingSink())
for round in range(10):
    for _ in range(50):
        logger.log_request("parent", "m")
    child = os.fork()
    if child == 0:
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
say("done")
threading.Event().wait(120)
"""
    with Service(code, str(tmp_path / "spool"), "-") as process:
        assert process.line() == "done"
    adopt_all(tmp_path / "spool", tmp_path / "trail")
    assert [entry.sequence for entry in in_trail(tmp_path / "trail")] == list(range(500))
