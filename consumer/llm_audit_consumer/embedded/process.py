"""Child processes that never outlive their parent, and the free ports they listen on."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from llm_audit_consumer.embedded.errors import EmbeddedMissingError

LOOPBACK = "127.0.0.1"
_GUARD = Path(__file__).with_name("guard.py")
# What the guard may take beyond the server's own stop bound before it is killed itself.
_GUARD_MARGIN_SECONDS = 5.0
_SERVER_PORTS = range(20_000, 32_000)


class ChildProcess:
    """One server process, with its output in a log file.

    It runs in its own session under a guard (see `guard.py`), so that it ends when this process ends, even
    by `kill -9`. `stop` asks with `stop_signal` and kills after `stop_seconds`.

    Args:
        argv: The program and its arguments; the program as an absolute path.
        log: The file that takes standard output and error; an older one is kept as `<name>.1`.
        cwd: The working directory; the server's user must be able to enter it.
        stop_signal: How the server is asked to stop.
        stop_seconds: How long it may take to stop before it is killed.
        owner: User and group ids to run as (needs root), or None for this process's own.
        environment: Variables laid over this process's own, such as secrets that must not stand in `argv`.
    """

    def __init__(
        self,
        argv: list[str],
        *,
        log: Path,
        cwd: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_seconds: float = 10.0,
        owner: tuple[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._argv = argv
        self._log = log
        self._cwd = cwd
        self._stop_signal = stop_signal
        self._stop_seconds = stop_seconds
        self._owner = owner
        self._environment = dict(environment or {})
        self._guard: subprocess.Popen[str] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int:
        """The server's own process id (not the guard's).

        Raises:
            RuntimeError: It was never started.
        """
        if self._pid is None:
            raise RuntimeError(f"{self._argv[0]} was not started: call start() first")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the server is alive."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def returncode(self) -> int | None:
        """The server's return code once it ended, 128 + n when signal n ended it."""
        return None if self._guard is None else self._guard.poll()

    def start(self) -> None:
        """Start the process and return at once; whether it is ready is the caller's question.

        Raises:
            EmbeddedMissingError: The program is not there or may not be run.
        """
        if self.running:
            return
        if self._log.exists():
            self._log.replace(self._log.with_name(self._log.name + ".1"))
        user, group = self._owner or (None, None)
        spec = {
            "argv": self._argv,
            "log": str(self._log),
            "cwd": str(self._cwd),
            "parent": os.getpid(),
            "stop_signal": int(self._stop_signal),
            "stop_seconds": self._stop_seconds,
            "user": user,
            "group": group,
        }
        self._guard = subprocess.Popen(  # noqa: S603 - our own script with our own arguments
            [sys.executable, "-I", "-S", str(_GUARD), json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **self._environment},
        )
        self._pid = self._read_pid(self._guard)

    def _read_pid(self, guard: subprocess.Popen[str]) -> int:
        answer = ""
        if guard.stdout is not None:
            with guard.stdout:
                answer = guard.stdout.readline().strip()
        word, _, rest = answer.partition(" ")
        if word == "pid":
            return int(rest)
        self.stop()
        raise EmbeddedMissingError(
            f"cannot run {self._argv[0]}: {rest or 'its guard process ended early'}. "
            "Install it or correct its path."
        )

    def stop(self) -> None:
        """Stop the process and wait until it is gone; harmless when it is not running."""
        guard = self._guard
        if guard is None:
            return
        if guard.stdin is not None:
            guard.stdin.close()
        try:
            guard.wait(self._stop_seconds + _GUARD_MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            guard.kill()  # the kernel's death signal then reaches the server
            guard.wait()
        self._guard = None

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log, or a remark that it is empty."""
        try:
            text = self._log.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        kept = text.strip().splitlines()[-lines:]
        return "\n".join(kept) or f"(nothing in {self._log})"


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports that are free on 127.0.0.1 at this moment.

    They lie below those that Linux and macOS hand out by themselves (from 32768), so that no outgoing connection takes
    one between now and the server's start, or its restart.
    """
    candidates = random.SystemRandom().sample(_SERVER_PORTS, k=len(_SERVER_PORTS))
    return list(islice(filter(port_is_free, candidates), count))


def port_is_free(port: int) -> bool:
    """Say whether a server could listen on this port of 127.0.0.1 at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Like the servers themselves: connections in TIME_WAIT do not keep a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
