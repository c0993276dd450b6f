"""The whole trail on this machine: a broker, a PostgreSQL and the real consumer daemon, in one folder."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from llm_audit_consumer.embedded.broker_client import make_appear
from llm_audit_consumer.embedded.choose import Broker, BrokerChoice, Preference, choose_broker
from llm_audit_consumer.embedded.errors import EmbeddedStartError
from llm_audit_consumer.embedded.lifecycle import Startable
from llm_audit_consumer.embedded.postgres import EmbeddedPostgres
from llm_audit_consumer.embedded.process import LOOPBACK, ChildProcess, free_ports
from llm_audit_consumer.kafka.topics import create_topics
from llm_audit_consumer.store import migrate
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement
from llm_audit_schemas import topics
from llm_audit_schemas.kafka_connection import KafkaConnection

_CONSUMER = "llm_audit_dev_consumer"
_READY_SECONDS = 30.0
_POLL_SECONDS = 0.1

Say = Callable[[str], None]
"""Tells the person in front of the screen what happens."""


class EmbeddedStack(Startable):
    """A broker, a database and the consumer daemon; stopped in the reverse order.

    Args:
        folder: Where data, logs and the development hash key live; kept afterwards. A temporary one when ``None``.
        broker: Which broker is wanted.
        say: Takes one sentence for each step.
    """

    def __init__(
        self, folder: Path | None = None, *, broker: Preference = "auto", say: Say = lambda _line: None
    ) -> None:
        self._temporary = folder is None
        self._folder = Path(tempfile.mkdtemp(prefix="llm-audit-")) if folder is None else folder.absolute()
        self._preference: Preference = broker
        self._say = say
        self._postgres = EmbeddedPostgres(None if folder is None else self._folder / "postgres")
        self._broker: Broker | None = None
        self._consumer: ChildProcess | None = None
        self._metrics_port = 0
        self._consumer_dsn = ""
        self.choice: BrokerChoice | None = None

    @property
    def dsn(self) -> str:
        """PostgreSQL connection string, its password included: do not log it."""
        return self._postgres.dsn

    @property
    def bootstrap_servers(self) -> str:
        """The broker's address.

        Raises:
            RuntimeError: the stack was not started.
        """
        if self._broker is None:
            raise RuntimeError("the embedded stack was not started: call start() first")
        return self._broker.bootstrap_servers

    @property
    def metrics_url(self) -> str:
        """Where Prometheus finds the consumer's metrics."""
        return f"http://{LOOPBACK}:{self._metrics_port}/metrics"

    @property
    def hash_key_file(self) -> Path:
        """The development key of the content hashes, made at the first start, readable by its owner only."""
        return self._folder / "hash-key"

    @property
    def consumer_running(self) -> bool:
        """Whether the daemon is alive."""
        return self._consumer is not None and self._consumer.running

    def producer_environment(self) -> dict[str, str]:
        """Environment variables with which a service writes its entries here."""
        return {
            "LLM_AUDIT_KAFKA_BOOTSTRAP": self.bootstrap_servers,
            "LLM_AUDIT_HASH_KEY_FILE": str(self.hash_key_file),
        }

    def start(self) -> None:
        """Start everything and wait until the daemon is ready.

        Raises:
            EmbeddedError: a part cannot run here, or did not become ready.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_hash_key(self.hash_key_file)
        self._postgres.start()
        self._say("PostgreSQL (real) is up.")
        for note in self._postgres.files.notes:
            self._say(note)
        applied = migrate(self.dsn)
        self._say(f"Tables are up to date ({len(applied)} migrations applied).")
        self._consumer_dsn = _consumer_login(self.dsn)
        self._start_broker()
        self._start_consumer()
        self._say(f"The consumer daemon is ready; its metrics are at {self.metrics_url}")

    def stop(self) -> None:
        """Stop everything that was started; a temporary folder is removed."""
        for part in (self._consumer, self._broker, self._postgres):
            if part is not None:
                part.stop()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start_broker(self) -> None:
        self.choice = choose_broker(self._preference)
        self._broker = self.choice.create(self._folder / "kafka")
        self._broker.start()
        self._say(f"Broker: {self.choice.why}")
        if self.choice.limits:
            self._say(self.choice.limits)
            make_appear(self.bootstrap_servers, topics.ENTRIES)
            return
        # One node cannot replicate; everything else about the topics is as in production.
        specs = [
            topics.TopicSpec(name, partitions=3, replication=1, min_in_sync=1)
            for name in (topics.ENTRIES, topics.MARKERS, topics.CONTENT)
        ]
        create_topics(KafkaConnection(bootstrap_servers=self.bootstrap_servers), specs)

    def _start_consumer(self) -> None:
        (self._metrics_port,) = free_ports(1)
        self._consumer = ChildProcess(
            [sys.executable, "-m", "llm_audit_consumer.cli", "consume"],
            log=self._folder / "consumer.log",
            cwd=self._folder,
            environment=self._consumer_environment(),
        )
        self._consumer.start()
        deadline = time.monotonic() + _READY_SECONDS
        while not self._consumer_is_ready():
            if not self._consumer.running or time.monotonic() > deadline:
                raise EmbeddedStartError(
                    f"the consumer did not become ready; its log ends:\n{self._consumer.tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def _consumer_environment(self) -> Mapping[str, str]:
        return {
            "LLM_AUDIT_KAFKA_BOOTSTRAP": self.bootstrap_servers,
            "LLM_AUDIT_POSTGRES_DSN": self._consumer_dsn,
            "LLM_AUDIT_METRICS_ADDRESS": f"{LOOPBACK}:{self._metrics_port}",
        }

    def _consumer_is_ready(self) -> bool:
        url = self.metrics_url.replace("/metrics", "/readyz")
        try:
            with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - our own loopback address
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def _consumer_login(dsn: str) -> str:
    """The connection string of the daemon's own login: a writer, as in production, and no superuser."""
    password = secrets.token_urlsafe(24)
    with closing(Database(dsn, application_name="llm-audit-dev")) as database, database.transaction():
        database.execute(statement("make_consumer_login"), {"password": password})
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{_CONSUMER}:{password}@{parts.hostname}:{parts.port}").geturl()


def _make_hash_key(path: Path) -> None:
    if path.exists():
        return
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"development:{secret}\n")
