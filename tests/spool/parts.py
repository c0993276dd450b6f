"""What the spool's tests share: sinks that hang or refuse, and services in processes of their own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_audit_producer import FileAuditStorage, MemorySink
from llm_audit_producer.errors import SinkError
from llm_audit_producer.life_marks import ProducerFacts
from llm_audit_producer.sinks import AuditSink
from llm_audit_producer.spool import SpoolDirectory, SpoolingSink
from llm_audit_schemas import AuditEntry, ProducerMarker

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 60.0
MEGABYTE = 1024 * 1024


class HangingSink(MemorySink):
    """Takes nothing until it is let go, like a broker that accepts connections and never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()
        self.marks: list[ProducerMarker] = []

    def append(self, entry: AuditEntry) -> None:
        if not self.let_go.wait(DEADLINE):
            raise SinkError("not_drained", "never let go")
        super().append(entry)

    def mark(self, marker: ProducerMarker) -> None:
        self.marks.append(marker)

    def close(self, timeout: float) -> int:
        self.let_go.set()
        return super().close(timeout)


class RefusingSink(MemorySink):
    """Refuses what a test says, for the reason a test says."""

    def __init__(self, refuses: Callable[[AuditEntry], str | None]) -> None:
        super().__init__()
        self.refuses = refuses
        self.refused: list[int] = []
        self.marks: list[ProducerMarker] = []

    def append(self, entry: AuditEntry) -> None:
        reason = self.refuses(entry)
        if reason is not None:
            self.refused.append(entry.sequence)
            raise SinkError(reason, "as the test says")
        super().append(entry)

    def mark(self, marker: ProducerMarker) -> None:
        self.marks.append(marker)


def spooling(sink: AuditSink, directory: Path, *, maximum_bytes: int = 64 * MEGABYTE) -> SpoolingSink:
    return SpoolingSink(
        sink,
        SpoolDirectory(directory, maximum_bytes=maximum_bytes, fsync=False),
        ProducerFacts(delivery_mode="spool", service="tests"),
    )


def until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Poll with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        threading.Event().wait(0.01)


SERVICE = """
import os, sys, threading, time
from llm_audit_producer import AuditLogger, AuditUnavailable, FileAuditStorage, MemorySink
from tests.spool.parts import HangingSink
directory, trail = sys.argv[1], sys.argv[2]
def logger_to(sink, **settings):
    return AuditLogger(sink, **{"durability": "spool", "spool_directory": directory, **settings})
"""
"""What every service of these tests begins with; its arguments are the spool directory and the trail's."""


@contextmanager
def service(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A service process; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", SERVICE + code, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)
        assert process.stdout is not None
        process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that a service says."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], DEADLINE)
    assert ready, "the service says nothing"
    return process.stdout.readline().strip()


def in_trail(directory: Path) -> list[AuditEntry]:
    return list(FileAuditStorage(directory).query())


def spool_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))
