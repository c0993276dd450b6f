"""``llm-audit consume``: the daemon."""

from __future__ import annotations

import gc
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta

import click
import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from llm_audit_consumer.batching import BatchLimits
from llm_audit_consumer.cli.content import key_store_option
from llm_audit_consumer.cli.options import dsn_option, kafka_options
from llm_audit_consumer.cli.periodic import Periodic, periodic_options
from llm_audit_consumer.completeness.markers import MarkerFollower
from llm_audit_consumer.completeness.metrics import CompletenessMetrics
from llm_audit_consumer.completeness.report import Question
from llm_audit_consumer.content.follower import ContentFollower
from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.metrics import ContentMetrics
from llm_audit_consumer.daemon import Daemon, DaemonSettings
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import ConfigurationError, DatabaseUnavailableError, RetryableStoreError
from llm_audit_consumer.health import Health, HealthServer
from llm_audit_consumer.housekeeping import Housekeeping
from llm_audit_consumer.kafka.client import KafkaSource
from llm_audit_consumer.kafka.registry import registry_schemas
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.retry import RetryPolicy
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.structured_logging import configure_logging
from llm_audit_schemas import EntryCodec, MarkerCodec, topics
from llm_audit_schemas.content_codec import ContentCodec
from llm_audit_schemas.kafka_connection import KafkaConnection

logger = structlog.get_logger(__name__)

_MONTHS_AHEAD = timedelta(days=62)
_LIMITS = BatchLimits()
_LAST_PORT = 65_535
_HEARTBEATS_PER_SESSION = 10
_OBJECTS_PER_COLLECTION = 50_000

_EXAMPLES = """Examples:

  llm-audit consume --dsn postgresql://audit@db/audit --kafka-bootstrap-servers kafka:9092

  llm-audit consume --no-migrate --metrics-address 0.0.0.0:9464

Exit codes: 0 stopped as asked, 2 configuration, 3 database unreachable at start or while partitions wait for it,
4 broker unreachable at start or its client has given up, 5 tables altered.
"""


@click.command(epilog=_EXAMPLES)
@kafka_options
@dsn_option
@click.option(
    "--topic", default=topics.ENTRIES, show_default=True, envvar="LLM_AUDIT_TOPIC", show_envvar=True
)
@click.option(
    "--markers-topic",
    default=topics.MARKERS,
    show_default=True,
    envvar="LLM_AUDIT_MARKERS_TOPIC",
    show_envvar=True,
    help="Where producers tell of their own lives; read in a group of its own, GROUP.markers.",
)
@click.option(
    "--content-topic",
    default=topics.CONTENT,
    show_default=True,
    envvar="LLM_AUDIT_CONTENT_TOPIC",
    show_envvar=True,
    help="Where encrypted content comes from; read in a group of its own, GROUP.content, where there is a key store.",
)
@key_store_option
@click.option("--group", default="llm-audit", show_default=True, envvar="LLM_AUDIT_GROUP", show_envvar=True)
@click.option(
    "--instance-id",
    envvar="LLM_AUDIT_INSTANCE_ID",
    show_envvar=True,
    help="Stable identity of this consumer, so that its restart moves no partitions.",
)
@click.option(
    "--session-timeout",
    type=click.FloatRange(6, 300),
    default=30.0,
    show_default=True,
    envvar="LLM_AUDIT_SESSION_TIMEOUT",
    show_envvar=True,
    help="Seconds without a sign of life after which the group gives this consumer's partitions to others.",
)
@click.option(
    "--batch-messages",
    type=click.IntRange(1, 100_000),
    default=_LIMITS.messages,
    show_default=True,
    envvar="LLM_AUDIT_BATCH_MESSAGES",
    show_envvar=True,
    help="Most messages in a batch.",
)
@click.option(
    "--batch-bytes",
    type=click.IntRange(1024),
    default=_LIMITS.bytes,
    show_default=True,
    envvar="LLM_AUDIT_BATCH_BYTES",
    show_envvar=True,
    help="Most bytes in a batch.",
)
@click.option(
    "--batch-age-ms",
    type=click.IntRange(1, 60_000),
    default=round(_LIMITS.age_seconds * 1000),
    show_default=True,
    envvar="LLM_AUDIT_BATCH_AGE_MS",
    show_envvar=True,
    help="Longest that a batch's first message waits for others, in milliseconds.",
)
@click.option(
    "--metrics-address",
    default="127.0.0.1:9464",
    show_default=True,
    envvar="LLM_AUDIT_METRICS_ADDRESS",
    show_envvar=True,
    help="Where /metrics, /healthz and /readyz are served; port 0 takes a free one.",
)
@click.option(
    "--schema-registry",
    envvar="LLM_AUDIT_SCHEMA_REGISTRY",
    show_envvar=True,
    help="Address of a Confluent Schema Registry. Without it, only the package's own fixed schema id is read.",
)
@click.option(
    "--migrate/--no-migrate",
    "run_migrations",
    default=True,
    show_default=True,
    envvar="LLM_AUDIT_MIGRATE",
    show_envvar=True,
    help="Bring the tables up to date first.",
)
@click.option(
    "--startup-timeout",
    type=click.FloatRange(1, 3600),
    default=30.0,
    show_default=True,
    envvar="LLM_AUDIT_STARTUP_TIMEOUT",
    show_envvar=True,
    help="Seconds to wait for the database and the broker at the start. Once running, waiting has no end.",
)
@click.option(
    "--stuck-seconds",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    envvar="LLM_AUDIT_STUCK_SECONDS",
    show_envvar=True,
    help="Seconds without a turn of the loop after which /healthz fails.",
)
@periodic_options
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="LLM_AUDIT_LOG_LEVEL",
    show_envvar=True,
)
def command(
    kafka: KafkaConnection,
    dsn: str,
    topic: str,
    markers_topic: str,
    content_topic: str,
    key_store: str | None,
    group: str,
    instance_id: str | None,
    session_timeout: float,
    batch_messages: int,
    batch_bytes: int,
    batch_age_ms: int,
    metrics_address: str,
    schema_registry: str | None,
    run_migrations: bool,  # noqa: FBT001 - click passes flags so
    startup_timeout: float,
    stuck_seconds: float,
    periodic: Periodic,
    log_level: str,
) -> None:
    """Run the daemon: entries from the topic, batched, into the table llm_audit_log, each exactly once.

    SIGTERM and SIGINT finish the current batch, leave the group and exit with 0.
    """
    configure_logging(log_level)
    host, port = _host_and_port(metrics_address)
    store = _ready_store(dsn, startup_timeout, run_migrations=run_migrations)
    session = {
        "session.timeout.ms": round(session_timeout * 1000),
        "heartbeat.interval.ms": round(session_timeout * 1000 / _HEARTBEATS_PER_SESSION),
    }
    source = KafkaSource(kafka, topic, group, instance_id=instance_id, extra=session)
    source.check(startup_timeout)
    registry = _process_registry()
    metrics, completeness = Metrics(registry), CompletenessMetrics()
    registry.register(completeness)
    health = Health(time.monotonic, stuck_seconds)
    registry_ids = registry_schemas(schema_registry) if schema_registry else None
    daemon = Daemon(
        source,
        store,
        Decoder(EntryCodec(writer_schemas=registry_ids)),
        DaemonSettings(group, BatchLimits(batch_messages, batch_bytes, batch_age_ms / 1000)),
        metrics,
        health,
        random.random,
    )
    follower = MarkerFollower(
        lambda: KafkaSource(
            kafka,
            markers_topic,
            f"{group}.markers",
            instance_id=f"{instance_id}.markers" if instance_id else None,
            extra=session,
        ),
        lambda: Database(dsn, application_name="llm-audit-markers"),
        MarkerCodec(writer_schemas=registry_ids),
        Question(group=group, entries_topic=topic, markers_topic=markers_topic),
        metrics,
        completeness,
    )
    content = ContentFollower(
        lambda: KafkaSource(
            kafka,
            content_topic,
            f"{group}.content",
            instance_id=f"{instance_id}.content" if instance_id else None,
            extra=session,
        ),
        lambda: Database(dsn, application_name="llm-audit-content"),
        lambda: open_key_store(key_store or "", dsn),
        ContentCodec(writer_schemas=registry_ids),
        f"{group}.content",
        metrics,
        ContentMetrics(registry),
    )
    housekeeping = Housekeeping(periodic.tasks(dsn), registry)
    server = _serve(host, port, registry, health)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: daemon.stop())
    _collect_garbage_seldom()
    logger.info("consumer started", topic=topic, group=group, metrics_port=server.port, pid=os.getpid())
    housekeeping.start()
    follower.start()
    if key_store:
        content.start()
    else:
        logger.info("no key store is set (LLM_AUDIT_KEY_STORE_DSN): encrypted content stays on its topic")
    try:
        daemon.run()
    finally:
        housekeeping.stop()
        follower.stop()
        content.stop()
        server.stop()
        store.close()
    logger.info("consumer stopped")


def _collect_garbage_seldom() -> None:
    """A batch is tens of thousands of objects in no cycle: looking through them again and again frees none."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_PER_COLLECTION)


def _ready_store(dsn: str, timeout: float, *, run_migrations: bool) -> AuditStore:
    """The store, once the database answers and its tables fit.

    Raises:
        DatabaseUnavailableError: it does not answer within ``timeout`` seconds.
        SchemaMismatchError: its tables do not fit.
    """
    deadline, failures, policy = time.monotonic() + timeout, 0, RetryPolicy()
    while True:
        try:
            if run_migrations:
                migrate(dsn)
            store = AuditStore(dsn)
            store.verify_schema()
            if run_migrations:
                _make_months(store)
            return store
        except DatabaseUnavailableError as error:
            failures += 1
            wait = policy.wait_seconds(failures, random.random)
            if time.monotonic() + wait > deadline:
                raise
            logger.warning("waiting for the database", error=str(error))
            time.sleep(wait)


def _make_months(store: AuditStore) -> None:
    """Make the months ahead. Where a long report holds the log, the next start does it: rows find a place without."""
    try:
        store.create_partitions((datetime.now(UTC) + _MONTHS_AHEAD).date())
    except RetryableStoreError as error:
        logger.warning("the months ahead were not made; rows wait in llm_audit_log_after", error=str(error))


def _process_registry() -> CollectorRegistry:
    # A second series for each counter, which nothing here asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves it unannotated
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _LAST_PORT:
        raise ConfigurationError(
            f"--metrics-address is {address!r}", "write it as HOST:PORT, such as 127.0.0.1:9464"
        )
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - ":9464" asks for every address


def _serve(host: str, port: int, registry: CollectorRegistry, health: Health) -> HealthServer:
    try:
        server = HealthServer(host, port, registry, health)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on --metrics-address {host}:{port}: {error.strerror}",
            "name a free port, or 0 for any",
        ) from error
    server.start()
    return server
