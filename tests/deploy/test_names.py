"""No name in deploy/ that the code does not export, and no metric that deploy/METRICS.md does not explain."""

from __future__ import annotations

import re

from deploy.metrics_table import METRICS_FILE, exported, table_of
from tests.deploy.expressions import (
    dashboard_expressions,
    metric_names,
    rule_expressions,
    rules,
)
from tests.deploy.tools import DEPLOY, ROOT

PROMETHEUS_OWN = {"up"}
NOT_SHOWN = {
    # What an operator looks up when told to, and no dashboard or rule needs.
    "llm_audit_producer_capture_errors_total",
    "llm_audit_producer_spool_adopted_total",
    "llm_audit_producer_unattributed_total",
}


def known() -> set[str]:
    samples = {name for metric in exported() for name in metric.sample_names}
    return samples | {rule["record"] for rule in rules() if "record" in rule} | PROMETHEUS_OWN


def test_the_scan_finds_names_and_nothing_else() -> None:
    text = 'sum by (a, b) (rate(x_total{le="60.0", c!~"d"}[5m])) / on (e) group_left () (y:z:w offset 1d) > 1e6 or f'
    assert metric_names(text) == {"x_total", "y:z:w", "f"}


def test_every_name_that_is_asked_for_is_exported() -> None:
    for expression in rule_expressions() + dashboard_expressions():
        unknown = metric_names(expression.text) - known()
        assert not unknown, f"{expression.where} asks for {unknown}, which nobody exports"


def test_every_metric_is_asked_for() -> None:
    asked = set().union(*(metric_names(each.text) for each in rule_expressions() + dashboard_expressions()))
    for metric in exported():
        assert metric.name in NOT_SHOWN or metric.sample_names & asked, f"nothing shows {metric.name}"


def test_every_name_in_the_documents_is_exported() -> None:
    for file in (ROOT / "docker-compose.yml", *DEPLOY.rglob("*.md"), *DEPLOY.rglob("*.y*ml")):
        said = set(
            re.findall(
                r"\bllm_audit_(?:consumer|producer|call|calls|completeness)_\w+|\bllm_audit:\w+",
                file.read_text(),
            )
        )
        bases = {name.rsplit(":", 1)[-1] for name in known()} | known()
        names = {metric.name for metric in exported()}
        unknown = {
            each
            for each in said
            if each not in bases | names and not any(n.startswith(each) for n in known())
        }
        assert not unknown, f"{file.name} names {unknown}"


def test_the_table_of_metrics_is_up_to_date() -> None:
    assert table_of(exported()) in METRICS_FILE.read_text(), "run: python -m deploy.metrics_table"


def test_names_follow_prometheus_conventions() -> None:
    for metric in exported():
        assert re.fullmatch(r"llm_audit_[a-z_]+", metric.name), metric.name
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric.name
        assert metric.meaning.endswith("."), metric.name
        assert not {"user", "user_id", "tenant", "session_id"} & set(metric.labels), metric.name
