"""What the spool's tests share: sinks that hang or refuse, and services in processes of their own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

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
        self.closed = False
        self.marks: list[ProducerMarker] = []

    def append(self, entry: AuditEntry) -> None:
        if not self.let_go.wait(DEADLINE) or self.closed:
            raise SinkError("not_drained", "never let go")
        super().append(entry)

    def after_fork(self) -> HangingSink:
        return HangingSink()

    def mark(self, marker: ProducerMarker) -> None:
        self.marks.append(marker)

    def close(self, timeout: float) -> int:
        self.closed = True
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
def say(text):
    os.write(1, f"{text}{os.linesep}".encode())  # at once and whole, whatever other threads say
def logger_to(sink, **settings):
    return AuditLogger(sink, **{"durability": "spool", "spool_directory": directory, **settings})
"""
"""What every service of these tests begins with; its arguments are the spool directory and the trail's."""


class Service:
    """A service process, and the lines that it says."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVICE + code, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        self._said = self.process.stdout
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._said.close()

    def line(self) -> str:
        """The next line that it says."""
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._said], [], [], DEADLINE)
            assert ready, "the service says nothing"
            data = os.read(self._said.fileno(), 65536)
            assert data, "the service is gone"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def rest(self) -> list[str]:
        """Whole lines that it said before it died and that nobody read."""
        everything = self._unread + self._said.read()
        return [line.decode() for line in everything.split(b"\n")[:-1]]

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self.process.kill()
        self.process.wait(DEADLINE)


def in_trail(directory: Path) -> list[AuditEntry]:
    return list(FileAuditStorage(directory).query())


def spool_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.spool"))
