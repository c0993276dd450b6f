"""Services under audit, seen from outside: started, told what to do, killed, and what they noted read back."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.consumer.consumer_process import environment_of, eventually

_SERVICE = Path(__file__).with_name("service.py")
_PAUSE_SECONDS = 60.0
_END_SECONDS = 120.0


@dataclass(frozen=True)
class Mode:
    """A promise that a producer gives.

    Attributes:
        durability: The setting of that name.
        spools: Whether it has a spool directory.
    """

    durability: str
    spools: bool

    @property
    def keeps_what_returned(self) -> bool:
        """Whether an entry survives its service's kill -9 once the call has returned."""
        return self.durability != "memory"

    def __str__(self) -> str:
        return f"{self.durability}-{'spooled' if self.spools else 'unspooled'}"


MEMORY = Mode("memory", spools=False)
SPOOL = Mode("spool", spools=True)
STRICT = Mode("strict", spools=True)
STRICT_UNSPOOLED = Mode("strict", spools=False)
MODES = (MEMORY, SPOOL, STRICT, STRICT_UNSPOOLED)


@dataclass(frozen=True)
class Call:
    """A call that returned to its service."""

    worker: int
    number: int
    request_id: str
    ok: bool


class ServiceLife:
    """One life of a service process, from its start to its end or its kill.

    Args:
        name: The user that its entries name.
        mode: How it keeps them.
        notes: File that it notes its calls in.
        settings: Its LLM_AUDIT_* variables.
        workers: How many of its threads make calls.
        pause_seconds: Between two calls of a worker.
    """

    def __init__(
        self,
        name: str,
        mode: Mode,
        notes: Path,
        settings: Mapping[str, str],
        workers: int = 2,
        pause_seconds: float = 0.03,
    ) -> None:
        self.name = name
        self.mode = mode
        self.workers = workers
        self.killed = False
        self.producer_id = ""
        self.calls: list[Call] = []
        self.statistics: dict[str, Any] | None = None
        self._pauses = 0
        self._pauses_asked = 0
        self._notes = notes
        self._read_to = 0
        self._errors = notes.with_suffix(".log")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_SERVICE), str(notes), name, str(workers), str(pause_seconds)],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=subprocess.STDOUT,
                env=environment_of(dict(settings)),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call_count(self) -> int:
        """Calls that have returned so far."""
        self.read_notes()
        return len(self.calls)

    def read_notes(self) -> None:
        """Take in what it has noted since the last time."""
        if not self._notes.exists():
            return
        with self._notes.open("rb") as file:
            file.seek(self._read_to)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # a line that is being written is read next time
        self._read_to += len(whole)
        for line in whole.decode().splitlines():
            self._take(line)

    def ask_to_pause(self) -> None:
        self._pauses_asked += 1
        self._tell("pause")

    def wait_paused(self) -> None:
        """Wait until no call is under way."""

        def paused() -> bool:
            self.read_notes()
            return self._pauses >= self._pauses_asked or not self.alive

        eventually(paused, f"{self.name} to pause", _PAUSE_SECONDS)
        assert self.alive, f"{self.name} ended by itself:\n{self.log()}"

    def go_on(self) -> None:
        self._tell("go")

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self.killed = True
        self._close_pipe()
        self.read_notes()

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ask_to_end(self) -> None:
        self._tell("stop")

    def wait_ended(self) -> None:
        """Wait until it has closed its producer and ended."""
        code = self._process.wait(_END_SECONDS)
        self._close_pipe()
        self.read_notes()
        assert code == 0, f"{self.name} ended with {code}:\n{self.log()}"
        assert self.statistics is not None

    def discard(self) -> None:
        """Leave no process behind, whatever state it is in."""
        if self.alive:
            self._process.kill()
            self._process.wait()
        self._close_pipe()

    def log(self) -> str:
        """What it said on its standard output and error."""
        return self._errors.read_text(errors="replace")

    def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it was killed with a line unread
            self._process.stdin.close()

    def _tell(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        self._process.stdin.flush()

    def _take(self, line: str) -> None:
        kind, _, rest = line.partition(" ")
        if kind == "CALL":
            worker, number, request_id, outcome = rest.split()
            self.calls.append(Call(int(worker), int(number), request_id, outcome == "ok"))
        elif kind == "LIFE":
            self.producer_id = rest
        elif kind == "PAUSED":
            self._pauses += 1
        else:
            self.statistics = json.loads(rest)
