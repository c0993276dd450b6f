"""A whole trail of its own, every part of which may be killed: services, Kafka, consumers, PostgreSQL, proxies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.store import migrate
from llm_audit_schemas import topics
from tests.consumer.consumer_process import ConsumerProcess, consume_environment
from tests.consumer.tables import Tables
from tests.faults.cluster import ProxiedKafka
from tests.faults.proxy import Proxy
from tests.faults.services import MODES, Mode, ServiceLife

GROUP = "fault-suite"
PARTITIONS = 3

_CALLS_SECONDS = 120.0
_POLL_SECONDS = 0.02
_LEAVE_SECONDS = 60.0
_QUICK_JAVA = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1"}
"""Half the time to start a broker; what it would cost in throughput is not asked for here."""
STRICT_SECONDS = 3.0

SESSION_SECONDS = 6.0
"""After which the group gives a silent consumer's partitions to another one: the least that the command takes."""


class Trail:
    """The parts, and what is done to them.

    Args:
        folder: Where everything lives.
        kafka: The cluster.
        postgres: The database server.
        database_proxy: What consumers reach it by.
        modes: A service runs in each of these.
        consumers: How many consumers there are when nothing is wrong.
    """

    def __init__(
        self,
        folder: Path,
        kafka: ProxiedKafka,
        postgres: EmbeddedPostgres,
        database_proxy: Proxy,
        modes: tuple[Mode, ...] = MODES,
        consumers: int = 2,
    ) -> None:
        self.kafka = kafka
        self.postgres = postgres
        self.database_proxy = database_proxy
        self.modes = modes
        self.consumers: list[ConsumerProcess] = []
        self.services: list[ServiceLife] = []
        self.lives: list[ServiceLife] = []
        self._leaving: list[ConsumerProcess] = []
        self._folder = folder
        self._spools = folder / "spools"
        self._wanted_consumers = consumers
        self._pause = threading.Event()
        self._begun = time.monotonic()
        self._events: list[str] = []

    @property
    def tables(self) -> Tables:
        """The consumer's tables, by no proxy."""
        return Tables(self.postgres.dsn)

    def begin(self) -> None:
        """Start services and consumers."""
        for _ in range(self._wanted_consumers):
            self.start_consumer()
        for mode in self.modes:
            self.start_service(mode)

    def start_consumer(self) -> ConsumerProcess:
        """Start one more consumer; whether it has started is not waited for."""
        host = urlsplit(self.postgres.dsn)
        behind_proxy = host._replace(
            netloc=f"{host.username}:{host.password}@127.0.0.1:{self.database_proxy.port}"
        )
        consumer = ConsumerProcess(
            consume_environment(
                self.kafka.proxied_servers,
                topics.ENTRIES,
                behind_proxy.geturl(),
                group=GROUP,
                session_timeout=str(SESSION_SECONDS),
                startup_timeout="600",
                batch_age_ms="100",
            )
        )
        self.consumers.append(consumer)
        return consumer

    def let_leave(self, consumer: ConsumerProcess) -> None:
        """Have a consumer end, in good order if it has begun to work; :meth:`wait_left` waits for it."""
        self.consumers.remove(consumer)
        if any(line["event"] == "consumer started" for line in consumer.log):
            consumer.send_signal(signal.SIGTERM)
            self._leaving.append(consumer)
        else:
            consumer.__exit__(None, None, None)

    def wait_left(self) -> None:
        """Wait for the consumers that are leaving."""
        for consumer in self._leaving:
            assert consumer.wait(_LEAVE_SECONDS) == 0, consumer.log[-8:]
            consumer.__exit__(None, None, None)
        self._leaving = []

    def start_service(self, mode: Mode) -> ServiceLife:
        """Start a service, the successor of an earlier one of its mode where there was one."""
        name = f"{mode}-{len(self.lives)}"
        settings = {
            "LLM_AUDIT_KAFKA_BOOTSTRAP": self.kafka.proxied_servers,
            "LLM_AUDIT_SERVICE": name,
            "LLM_AUDIT_DURABILITY": mode.durability,
            "LLM_AUDIT_STRICT_SECONDS": str(STRICT_SECONDS),
            "LLM_AUDIT_DRAIN_SECONDS": "60",
            "LLM_AUDIT_HEARTBEAT_SECONDS": "1",
        }
        if mode.spools:
            settings["LLM_AUDIT_SPOOL_DIRECTORY"] = str(self._spools)
        self.note(f"start {name}")
        life = ServiceLife(name, mode, self._folder / f"{name}.notes", settings)
        self.lives.append(life)
        self.services.append(life)
        return life

    def call_count(self) -> int:
        """Calls that have returned so far, over all services: the clock by which faults are timed."""
        return sum(life.call_count() for life in self.services) + sum(
            len(life.calls) for life in self.lives if life not in self.services
        )

    def wait_for_calls(self, count: int, least_seconds: float = 0.0) -> None:
        """Wait until so many further calls have returned, and until a time-out of ``least_seconds`` has passed."""
        target, begun = self.call_count() + count, time.monotonic()
        while self.call_count() < target or time.monotonic() < begun + least_seconds:
            assert time.monotonic() < begun + _CALLS_SECONDS, f"calls no longer return:\n{self.logs()}"
            self._pause.wait(_POLL_SECONDS)

    def note(self, what: str) -> None:
        """Remember what was done to the trail, for whoever reads why a round failed."""
        self._events.append(f"{time.monotonic() - self._begun:7.2f} s {what}")

    def logs(self) -> str:
        """What was done to the trail, where every service's threads are, and the end of what each part has said."""
        for life in self.services:
            life.send_signal(signal.SIGUSR1)
        self._pause.wait(1.0)
        said = ["what was done:", *self._events]
        said += [f"{life.name} ({life.call_count()} calls): {life.log()[-4000:]}" for life in self.services]
        said += [f"consumer {each.pid}: {each.log[-8:]}" for each in self.consumers]
        return "\n".join(said)

    def fill_up(self) -> None:
        """Have as many consumers, and a service of each mode, as when nothing is wrong."""
        while len(self.consumers) < self._wanted_consumers:
            self.start_consumer()
        for mode in self.modes:
            if not any(life.mode == mode for life in self.services):
                self.start_service(mode)

    def pause_services(self) -> None:
        """Let every call under way return, and begin no other."""
        for life in self.services:
            life.ask_to_pause()
        for life in self.services:
            life.wait_paused()

    def go_on(self) -> None:
        for life in self.services:
            life.go_on()

    def end_services(self) -> None:
        """Have every service end in good order."""
        ending, self.services = self.services, []
        for life in ending:
            life.ask_to_end()
        for life in ending:
            life.wait_ended()

    def end(self) -> None:
        """Leave no process behind."""
        for life in self.lives:
            life.discard()
        for consumer in [*self.consumers, *self._leaving]:
            consumer.__exit__(None, None, None)
        self.consumers, self._leaving = [], []


@contextmanager
def running_trail(folder: Path, nodes: int, modes: tuple[Mode, ...] = MODES) -> Iterator[Trail]:
    """A trail under load, all of it stopped at the end."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, _QUICK_JAVA))
        # Survives a kill -9 of its processes; only a crash of the machine would need the disk to be waited for.
        postgres = EmbeddedPostgres(folder / "postgres", settings=("fsync=off",))
        stack.enter_context(postgres)
        kafka = stack.enter_context(ProxiedKafka(folder / "kafka", nodes))
        kafka.make_topics(PARTITIONS)
        migrate(postgres.dsn)
        proxy = stack.enter_context(Proxy(lambda: postgres.port))
        trail = Trail(folder, kafka, postgres, proxy, modes)
        stack.callback(trail.end)
        trail.begin()
        yield trail
