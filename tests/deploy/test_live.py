"""A real Prometheus scrapes a real consumer and a real service under load, and answers all that deploy/ asks.

The load holds whatever the rules look for: errors, calls without a user, dead letters, duplicates, a database that goes
away, and entries that Kafka deletes unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from llm_audit_consumer.embedded import EmbeddedPostgres
from tests.consumer.consumer_process import ConsumerProcess, consumers, eventually
from tests.consumer.entries import new_record, send, send_entries, send_records
from tests.consumer.tables import Tables
from tests.deploy.demo_service import running_demo
from tests.deploy.expressions import dashboard_expressions, metric_names, rule_expressions, rules
from tests.deploy.prometheus_server import PrometheusServer, running_prometheus
from tests.parts.servers import KafkaUnderTest
from tests.parts.topics import TopicMaker

# Needs days of history, a week's ends or a full disk to say anything; what it asks of is checked all the same.
QUIET = {
    "LlmAuditConsumerDown",
    "LlmAuditNothingAssigned",
}


@pytest.fixture(scope="module")
def live(
    kafka_broker: KafkaUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    if not kafka_broker.is_real:
        pytest.skip("the mock broker cannot delete records")
    folder = tmp_path_factory.mktemp("live")
    topics = TopicMaker(kafka_broker.bootstrap_servers, can_create=True)
    topic, markers = topics(), topics(partitions=1)
    with EmbeddedPostgres(ephemeral=True) as postgres, consumers(kafka_broker.bootstrap_servers) as start:
        _lose_offsets(
            kafka_broker.bootstrap_servers,
            topic,
            start(topic, postgres.dsn, markers_topic=markers),
            Tables(postgres.dsn),
        )
        demo = {
            "LLM_AUDIT_KAFKA_BOOTSTRAP": kafka_broker.bootstrap_servers,
            "LLM_AUDIT_TOPIC": topic,
            "LLM_AUDIT_MARKERS_TOPIC": markers,
            "LLM_AUDIT_HEARTBEAT_SECONDS": "1",
            "LLM_AUDIT_DURABILITY": "spool",
            "LLM_AUDIT_SPOOL_DIRECTORY": str(folder / "spool"),
        }
        with running_demo(demo) as demo_port:
            # Only now, so that its first look at the markers finds the service's.
            consumer = start(topic, postgres.dsn, markers_topic=markers)
            targets = {
                "llm-audit-consumer": consumer.wait_for_log("consumer started")["metrics_port"],
                "llm-audit-producer": demo_port,
            }
            with running_prometheus(folder, targets) as server:
                _make_trouble(kafka_broker.bootstrap_servers, topic)
                postgres.restart()
                _wait_for_history(server)
                yield server
    topics.remove_all()


def _lose_offsets(servers: str, topic: str, first: ConsumerProcess, tables: Tables) -> None:
    """Have Kafka delete entries that a consumer was to read next."""
    send_entries(servers, topic, 3)
    eventually(lambda: tables.row_count() == 3, "the first rows")
    first.terminate()
    send_entries(servers, topic, 30)
    admin = AdminClient({"bootstrap.servers": servers})  # its requests end with it
    for future in admin.delete_records([TopicPartition(topic, 0, 8)]).values():
        future.result(15)


def _make_trouble(servers: str, topic: str) -> None:
    record = new_record()
    send_records(servers, topic, [record, record])
    send(servers, topic, [(0, b"junk", None)])


def _wait_for_history(server: PrometheusServer) -> None:
    """Two samples of what comes last, the rows after the database's absence, and every recorded figure."""
    last = (
        'rate(llm_audit_consumer_errors_total{kind="database"}[1m])',
        "rate(llm_audit_consumer_dead_letters_total[1m])",
        "rate(llm_audit_producer_delivered_total[1m]) > 0",
        "model:llm_audit_errors:ratio_rate15m > 0",
        'llm_audit_completeness_producers{verdict="running"} > 0',
        *(rule["record"] for rule in rules() if "record" in rule),
    )
    for expression in last:
        eventually(partial(server.has, expression), expression, seconds=60)


def selectors(expression: str) -> set[str]:
    """Each series that an expression asks for, with its labels, whatever is then compared with it."""
    found: set[str] = set()
    for name in metric_names(expression):
        found.update(
            match.group()
            for match in re.finditer(rf"(?<![\w:]){re.escape(name)}(?:\{{[^}}]*\}})?(?![\w:])", expression)
        )
    return found


def here(expression: str) -> str:
    """As Grafana would ask it of a server that scrapes every second."""
    return expression.replace("$__rate_interval", "1m")


def test_every_rule_was_evaluated(live: PrometheusServer) -> None:
    evaluated = live.rules()
    assert len(evaluated) == len(rule_expressions())
    assert {
        (rule["name"], rule.get("lastError", "")) for rule in evaluated if rule["health"] != "ok"
    } == set()


def test_all_that_a_rule_asks_of_is_there(live: PrometheusServer) -> None:
    for where, expression in rule_expressions():
        live.ask(expression)
        for selector in selectors(expression):
            assert live.ask(f"last_over_time({selector}[5m])"), f"{where}: nothing is {selector}"


def test_every_recorded_figure_is_there(live: PrometheusServer) -> None:
    for where, expression in rule_expressions():
        if ":" in where:  # recorded; an alert may well have nothing to say
            assert live.ask(expression), f"{where} has no figure: {expression}"


def test_every_panel_shows_something(live: PrometheusServer) -> None:
    for where, expression in dashboard_expressions():
        assert live.ask(here(expression)), f"{where} is empty: {expression}"


def test_trouble_raises_the_alerts_that_wait_for_nothing(live: PrometheusServer) -> None:
    fired = {each["metric"]["alertname"] for each in live.ask('ALERTS{alertstate="firing"}')}
    assert fired >= {"LlmAuditDeadLetters", "LlmAuditOffsetsLost"}
    assert not fired & QUIET
