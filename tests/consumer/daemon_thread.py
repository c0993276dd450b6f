"""The daemon in a thread of the test, where a test wants settings that the command line does not have."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from llm_audit_consumer.batching import BatchLimits
from llm_audit_consumer.daemon import Daemon, DaemonSettings
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.health import Health
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.store import AuditStore
from llm_audit_schemas import EntryCodec
from llm_audit_schemas.kafka_connection import KafkaConnection


class RunningDaemon:
    """A daemon, and the thread that it runs in."""

    def __init__(self, source: KafkaSource, store: AuditStore, settings: DaemonSettings) -> None:
        self.health = Health(time.monotonic, stuck_seconds=60)
        self.registry = CollectorRegistry()
        self._store = store
        self._daemon = Daemon(
            source,
            store,
            Decoder(EntryCodec()),
            settings,
            Metrics(self.registry),
            self.health,
            random.random,
        )
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="daemon-under-test")
        self._thread.start()

    def stop(self, within_seconds: float = 30.0) -> None:
        """Stop it; an error that ended it is raised here."""
        self._daemon.stop()
        self._thread.join(within_seconds)
        assert not self._thread.is_alive(), f"it still runs after {within_seconds:g} s"
        self._store.close()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._daemon.run()
        except BaseException as error:  # noqa: BLE001 - raised again by stop, in the test's thread
            self._error = error


@contextmanager
def daemon_thread(
    bootstrap_servers: str, topic: str, dsn: str, *, stop_seconds: float = 20.0, group: str = "threads"
) -> Iterator[RunningDaemon]:
    """A running daemon, stopped at the end; the tables must be there."""
    source = KafkaSource(
        KafkaConnection(bootstrap_servers=bootstrap_servers),
        topic,
        f"{group}-{topic}",
        extra={"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
    )
    settings = DaemonSettings(f"{group}-{topic}", BatchLimits(), stop_seconds=stop_seconds)
    running = RunningDaemon(source, AuditStore(dsn), settings)
    try:
        yield running
    finally:
        running.stop()
