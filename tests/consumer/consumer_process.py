"""The daemon as its operator runs it: a process with environment variables, JSON logs and an HTTP face."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from prometheus_client.parser import text_string_to_metric_families

_START_SECONDS = 30.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Page:
    """A /metrics page: sample name and labels to value."""

    samples: dict[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, ``None`` where the page has none."""
        return self.samples.get((name, frozenset(labels.items())))

    def values(self, name: str) -> dict[Labels, float]:
        """Every sample of a name, by labels."""
        return {labels: value for (each, labels), value in self.samples.items() if each == name}


class ConsumerProcess:
    """A running ``llm-audit consume``; stopped, whatever happens, by the end of its ``with``.

    Args:
        environment: Variables laid over this process's own.
        arguments: Command-line arguments after ``consume``.
    """

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self._lines: list[dict[str, Any]] = []
        self._ended = False
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "llm_audit_consumer.cli", "consume", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment_of(environment),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log lines so far; a line that is no JSON stands under ``event`` as it is."""
        return list(self._lines)

    def wait_started(self) -> Self:
        """Wait for the line that says that it has started."""
        line = self.wait_for_log("consumer started", seconds=_START_SECONDS)
        self._port = line["metrics_port"]
        return self

    def wait_for_log(self, event: str, *, times: int = 1, seconds: float = 30.0) -> dict[str, Any]:
        """The nth log line of an event, once it is written."""

        def found() -> list[dict[str, Any]]:
            return [line for line in self._lines if event in line["event"]]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= times or self._ended, seconds)
            lines = found()
        assert len(lines) >= times, f"{event!r} was not logged; the log:\n{self._lines}"
        return lines[times - 1]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of one of its pages."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metrics(self) -> Page:
        """What /metrics says now."""
        _, text = self.get("/metrics")
        return Page(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL: no chance to finish anything."""
        self._process.kill()
        self.wait()

    def wait(self, seconds: float = _STOP_SECONDS) -> int:
        """Its exit code, once it has ended by itself."""
        code = self._process.wait(seconds)
        self._reader.join(seconds)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for text in self._process.stderr:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"event": text.rstrip("\n")}
            with self._news:
                self._lines.append(line)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


class StartConsumer(Protocol):
    """Starts a consumer for a topic and a database, and waits until it has started."""

    def __call__(self, topic: str, dsn: str, **settings: str) -> ConsumerProcess: ...


@contextmanager
def consumers(bootstrap_servers: str) -> Iterator[StartConsumer]:
    """Starts consumers of one broker; all of them are stopped at the end."""
    with ExitStack() as stack:

        def start(topic: str, dsn: str, **settings: str) -> ConsumerProcess:
            environment = consume_environment(bootstrap_servers, topic, dsn, **settings)
            return stack.enter_context(ConsumerProcess(environment)).wait_started()

        yield start


def consume_environment(bootstrap_servers: str, topic: str, dsn: str, **settings: str) -> dict[str, str]:
    """Variables for a consumer; settings are named without their prefix, in lower case."""
    return {
        "LLM_AUDIT_KAFKA_BOOTSTRAP": bootstrap_servers,
        "LLM_AUDIT_TOPIC": topic,
        "LLM_AUDIT_GROUP": topic,  # no test waits for another one's killed members
        "LLM_AUDIT_POSTGRES_DSN": dsn,
        "LLM_AUDIT_METRICS_ADDRESS": "127.0.0.1:0",
        **{f"LLM_AUDIT_{name.upper()}": value for name, value in settings.items()},
    }


def environment_of(changes: dict[str, str]) -> dict[str, str]:
    """This process's environment without its own audit settings, and with the changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LLM_AUDIT_")}
    path = os.pathsep.join(each for each in sys.path if each)
    return {**kept, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **changes}


def eventually(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Ask until the condition holds; fail at the deadline."""
    pause = threading.Event()
    tries = int(seconds / _POLL_SECONDS)
    for _ in range(tries):
        if condition():
            return
        pause.wait(_POLL_SECONDS)
    raise AssertionError(f"waited {seconds:g} s for {what}")
