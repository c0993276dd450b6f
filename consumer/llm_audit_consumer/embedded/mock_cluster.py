"""librdkafka's mock cluster in a process of its own, so that several processes can use it."""

import sys
import tempfile
import time
from pathlib import Path

from llm_audit_consumer.embedded.errors import EmbeddedStartError
from llm_audit_consumer.embedded.lifecycle import Startable
from llm_audit_consumer.embedded.process import ChildProcess

LIMITS = (
    "The mock broker keeps everything in memory and forgets it when it stops. A partition holds at most "
    "5 MiB as stored and then drops its oldest messages without a word. Topics appear by themselves with "
    "4 partitions; they cannot be created or described, so they have no settings and no ids. Consumer "
    "groups cannot be listed, and when a member leaves, its partitions go to another one only after the "
    "session timeout. read_committed also delivers aborted messages. It is for a first look at small "
    "data, never for a backlog, exactly-once or fault tests."
)

_HOST = Path(__file__).with_name("broker_client.py")
_POLL_SECONDS = 0.02


class MockKafka(Startable):
    """A memory-only broker on 127.0.0.1; see `LIMITS` for what it cannot do.

    Args:
        nodes: How many brokers it plays.
        deadline_seconds: How long it may take to start.
    """

    def __init__(self, *, nodes: int = 1, deadline_seconds: float = 30.0) -> None:
        self._nodes = nodes
        self._deadline_seconds = deadline_seconds
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._host: ChildProcess | None = None
        self._bootstrap_servers = ""

    @property
    def bootstrap_servers(self) -> str:
        """The addresses to give a client.

        Raises:
            RuntimeError: It was never started.
        """
        if not self._bootstrap_servers:
            raise RuntimeError("the mock broker was not started: call start() first")
        return self._bootstrap_servers

    @property
    def pids(self) -> list[int]:
        """The process that hosts it; empty before the first start."""
        return [] if self._host is None else [self._host.pid]

    @property
    def running(self) -> bool:
        """Whether its process is alive."""
        return self._host is not None and self._host.running

    def start(self) -> None:
        """Start an empty cluster and wait until it has addresses.

        Raises:
            EmbeddedStartError: It did not start; the message ends with its output.
        """
        if self.running:
            return
        self._folder = tempfile.TemporaryDirectory(prefix="llm-audit-mock-")
        folder = Path(self._folder.name)
        address_file = folder / "bootstrap"
        # -P keeps this package's own folder, with its kafka.py, off the child's import path.
        argv = [sys.executable, "-P", str(_HOST), str(self._nodes), str(address_file)]
        self._host = ChildProcess(argv, log=folder / "host.log", cwd=folder, stop_seconds=5.0)
        self._host.start()
        deadline = time.monotonic() + self._deadline_seconds
        while not address_file.exists():
            if not self._host.running or time.monotonic() > deadline:
                output = self._host.tail()
                self.stop()
                raise EmbeddedStartError(
                    f"librdkafka's mock broker gave no address within {self._deadline_seconds:g} s; "
                    f"its output ends:\n{output}"
                )
            time.sleep(_POLL_SECONDS)
        self._bootstrap_servers = address_file.read_text(encoding="utf-8")

    def stop(self) -> None:
        """Stop it; all its messages are gone."""
        if self._host is not None:
            self._host.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
