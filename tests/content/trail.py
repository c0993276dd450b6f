"""Content on its way: made, sealed, published, followed into the table, and read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from prometheus_client import CollectorRegistry

from llm_audit_consumer.content.follower import ContentFollower
from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.metrics import ContentMetrics
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.store.postgres import Database
from llm_audit_producer.content.sealing import ContentForms, Sealer
from llm_audit_producer.content.sink import ContentSink
from llm_audit_schemas import AuditEntry, canonical
from llm_audit_schemas.content import ContentKey, input_form
from llm_audit_schemas.content_codec import ContentCodec
from llm_audit_schemas.kafka_connection import KafkaConnection

DEADLINE_SECONDS = 30.0
_PRIVATE = X25519PrivateKey.generate()
PRIVATE_KEY = ContentKey("test-2026", _PRIVATE.private_bytes_raw())
PUBLIC_KEY = ContentKey("test-2026", _PRIVATE.public_key().public_bytes_raw())


def forms_of(question: str, answer: str, system: str | None = None) -> ContentForms:
    return ContentForms(
        input_form(
            canonical.canonical_input(question),
            None if system is None else canonical.canonical_system(system),
        ),
        canonical.canonical_output(answer),
    )


def publish(
    bootstrap_servers: str,
    topic: str,
    contents: list[tuple[AuditEntry, ContentForms]],
    *,
    content_bytes: int = 768 * 1024,
) -> None:
    sink = ContentSink(
        KafkaConnection(bootstrap_servers=bootstrap_servers), topic, Sealer(PUBLIC_KEY, content_bytes)
    )
    for entry, forms in contents:
        sink.seal_and_publish(entry, forms)
    assert sink.close(DEADLINE_SECONDS) == 0
    assert sink.statistics().lost == {}


class Following:
    """A follower that runs, and what it counted."""

    def __init__(self, bootstrap_servers: str, topic: str, dsn: str, key_store: str) -> None:
        self.registry = CollectorRegistry()
        self.follower = ContentFollower(
            lambda: KafkaSource(
                KafkaConnection(bootstrap_servers=bootstrap_servers),
                topic,
                f"content-{topic}",
                extra={"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
            ),
            lambda: Database(dsn, application_name="content-under-test"),
            lambda: open_key_store(key_store, dsn),
            ContentCodec(),
            f"content-{topic}",
            Metrics(self.registry),
            ContentMetrics(self.registry),
        )

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    @property
    def handled(self) -> float:
        """Parts stored, dropped or put into dead letters."""
        return (
            self.count("llm_audit_content_stored_total")
            + self.count("llm_audit_content_dropped_total", reason="erased")
            + self.count("llm_audit_content_dropped_total", reason="refused")
            + sum(
                sample.value
                for metric in self.registry.collect()
                for sample in metric.samples
                if sample.name == "llm_audit_consumer_dead_letters_total"
            )
        )


@contextmanager
def following(bootstrap_servers: str, topic: str, dsn: str, key_store: str) -> Iterator[Following]:
    running = Following(bootstrap_servers, topic, dsn, key_store)
    running.follower.start()
    try:
        yield running
    finally:
        running.follower.stop(DEADLINE_SECONDS)


def follow_until(parts: int, bootstrap_servers: str, topic: str, dsn: str, key_store: str) -> Following:
    """Follow until so many parts were handled."""
    with following(bootstrap_servers, topic, dsn, key_store) as running:
        wait_until(lambda: running.handled >= parts)
    return running


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)
