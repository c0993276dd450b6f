"""What Prometheus, or a function of one's own, learns of a producer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from llm_audit_producer import AuditLogger, MemorySink
from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.prometheus_metrics import LOSS_REASONS, PRODUCER_METRICS, expose_metrics
from llm_audit_producer.statistics import StatisticsSnapshot
from llm_audit_producer.statistics_follower import on_statistics
from llm_audit_schemas import AuditEntry
from llm_audit_schemas.kafka_connection import KafkaConnection


class FullSink(MemorySink):
    def append(self, entry: AuditEntry) -> None:
        raise SinkError("too_large", "it takes nothing")


def test_prometheus_sees_what_the_producer_counts() -> None:
    registry = CollectorRegistry()
    audit = AuditLogger(MemorySink())
    expose_metrics(audit, registry)
    read = registry.get_sample_value
    assert read("llm_audit_producer_captured_total") == 0

    audit.log_request("ada", "claude-haiku-4-5")
    audit.log_request(None, "claude-haiku-4-5")
    audit.flush()
    assert read("llm_audit_producer_captured_total") == 2
    assert read("llm_audit_producer_delivered_total") == 2
    assert read("llm_audit_producer_unattributed_total") == 1
    assert read("llm_audit_producer_queue_entries") == 0
    assert read("llm_audit_producer_delivery_seconds_count") == 2
    assert read("llm_audit_producer_recording_seconds_count") == 2
    assert 0 < (read("llm_audit_producer_recording_seconds_sum") or 0) < 1
    assert read("llm_audit_producer_recording_seconds_bucket", {"le": "1.0"}) == 2
    assert read("llm_audit_producer_spool_entries") is None, "there is no spool, which is not an empty one"
    audit.close()
    audit.log_request("ada", "claude-haiku-4-5")
    assert read("llm_audit_producer_lost_total", {"reason": "closed"}) == 1


def test_each_reason_for_a_loss_is_there_before_the_first_loss() -> None:
    registry = CollectorRegistry()
    audit = AuditLogger(FullSink())
    expose_metrics(audit, registry)
    lost = "llm_audit_producer_lost_total"
    assert {registry.get_sample_value(lost, {"reason": reason}) for reason in LOSS_REASONS} == {0}
    audit.log_request("ada", "claude-haiku-4-5")
    audit.flush()
    assert registry.get_sample_value(lost, {"reason": "too_large"}) == 1
    audit.close()


def test_prometheus_sees_what_the_spool_holds(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    nobody_listens = KafkaConnection(bootstrap_servers="127.0.0.1:1")
    audit = AuditLogger(kafka=nobody_listens, durability="spool", spool_directory=tmp_path, drain_seconds=0.1)
    expose_metrics(audit, registry)
    for _ in range(3):
        audit.log_request("ada", "claude-haiku-4-5")
    assert registry.get_sample_value("llm_audit_producer_spool_entries") == 3
    assert (registry.get_sample_value("llm_audit_producer_spool_bytes") or 0) > 300
    assert (registry.get_sample_value("llm_audit_producer_spool_oldest_seconds") or 0) > 0
    assert registry.get_sample_value("llm_audit_producer_spool_adopted_total") == 0
    assert registry.get_sample_value("llm_audit_producer_delivered_total") == 0
    audit.close()


def test_a_second_logger_in_the_same_registry_is_refused() -> None:
    registry = CollectorRegistry()
    audit = AuditLogger(MemorySink())
    expose_metrics(audit, registry)
    with pytest.raises(AuditSettingsError, match="share it"):
        expose_metrics(audit, registry)


def test_names_and_help_are_what_the_page_shows() -> None:
    registry = CollectorRegistry()
    expose_metrics(AuditLogger(MemorySink()), registry)
    page = generate_latest(registry).decode()
    for metric in PRODUCER_METRICS:
        shown = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        assert f"# HELP {shown} {metric.meaning}\n# TYPE {shown} {metric.kind}\n" in page


def test_a_function_of_ones_own_is_told() -> None:
    told: list[StatisticsSnapshot] = []
    audit = AuditLogger(MemorySink())
    on_statistics(audit, told.append)
    audit.log_request("ada", "claude-haiku-4-5")
    audit.flush()
    audit.close()
    assert told[-1].captured == 1


SERVICE = """
import os, sys
from llm_audit_producer import AuditLogger, MemorySink
from llm_audit_producer.prometheus_metrics import expose_metrics

audit = AuditLogger(MemorySink())
expose_metrics(audit)
audit.log_request("ada", "claude-haiku-4-5")
child = os.fork()
for _ in range(4 if child else 7):
    audit.log_request(None, "claude-haiku-4-5")
audit.flush()
audit.close()
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""

SCRAPE = """
import json
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

registry = CollectorRegistry()
MultiProcessCollector(registry)
print(json.dumps({
    sample.name + "".join(sorted(sample.labels.values())): sample.value
    for family in registry.collect() for sample in family.samples
}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_several_processes_are_seen_as_one(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    def python(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    python(SERVICE)
    page = json.loads(python(SCRAPE))
    assert page["llm_audit_producer_captured_total"] == 1 + 4 + 7
    assert page["llm_audit_producer_delivered_total"] == 1 + 4 + 7
    assert page["llm_audit_producer_unattributed_total"] == 4 + 7
    assert page["llm_audit_producer_lost_totalqueue_full"] == 0
    assert page["llm_audit_producer_queue_entries"] == 0
    assert page["llm_audit_producer_delivery_seconds_count"] == 1 + 4 + 7
    assert page["llm_audit_producer_recording_seconds_bucket+Inf"] == 1 + 4 + 7
    assert page["llm_audit_producer_recording_seconds_sum"] > 0
