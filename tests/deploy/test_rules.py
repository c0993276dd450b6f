"""The rules of deploy/prometheus, by Prometheus's own tools, and that each alert is tried and explained."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from llm_audit_producer.settings import ProducerSettings
from llm_audit_schemas import topics
from llm_audit_schemas.topics import TopicSpec
from tests.deploy.tools import DEPLOY, PROMETHEUS, promtool

RULE_TESTS = sorted((Path(__file__).parent / "rules").glob("*.test.yml"))


def rules() -> list[dict[str, Any]]:
    files = sorted(PROMETHEUS.glob("*.rules.yml"))
    assert len(files) == 2
    return [
        rule
        for each in files
        for group in yaml.safe_load(each.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def run(*arguments: str | Path) -> None:
    done = subprocess.run(
        [promtool(), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_wrong() -> None:
    run("check", "config", PROMETHEUS / "prometheus.yml")
    run("check", "rules", "--lint=all", "--lint-fatal", *sorted(PROMETHEUS.glob("*.rules.yml")))


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.name)
def test_the_rules_say_what_they_should(file: Path) -> None:
    run("test", "rules", file)


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for file in RULE_TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for expected in case.get("alert_rule_test", []):
                (fires if expected["exp_alerts"] else quiet).add(expected["alertname"])
    # These have their quiet case within a firing one: an instance or model beside it that must not fire.
    beside = {
        "LlmAuditConsumerStuck",
        "LlmAuditLagUnknown",
        "LlmAuditDatabaseAway",
        "LlmAuditModelErrors",
        "LlmAuditSpoolFilling",
    }
    assert fires == set(alerts())
    assert quiet | beside >= set(alerts()), set(alerts()) - quiet - beside


def test_each_alert_names_its_own_section_of_the_runbook() -> None:
    sections = re.findall(r"(?m)^## (\w+)$", (DEPLOY / "RUNBOOK.md").read_text())
    assert sorted(set(sections)) == sorted(sections)
    for name, alert in alerts().items():
        assert alert["annotations"]["runbook_url"] == f"deploy/RUNBOOK.md#{name.lower()}"
        assert name in sections
        assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(sections) == set(alerts()), "a section without an alert"


def recorded(name: str) -> str:
    return str(next(rule["expr"] for rule in rules() if rule.get("record") == name))


def test_what_the_rules_assume_is_the_default_in_the_code() -> None:
    retention = TopicSpec(topics.ENTRIES).retention // timedelta(seconds=1)
    assert recorded("llm_audit:topic_retention_seconds") == f"vector({retention})"
    assert recorded("llm_audit:spool_limit_bytes") == f"vector({ProducerSettings().spool_bytes})"
