"""Every expression in deploy/: of the rules, and of the dashboards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from tests.deploy.tools import DEPLOY, PROMETHEUS

_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_QUOTED = re.compile(r"""("[^"]*"|'[^']*'|`[^`]*`)""")
_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_SPANS = re.compile(r"\[[^\]]*\]|\b\d[\w.]*")
_KEYWORDS = {
    "and",
    "or",
    "unless",
    "offset",
    "bool",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
}


class Expression(NamedTuple):
    """An expression and where it stands."""

    where: str
    text: str


def rules() -> list[dict[str, Any]]:
    """Every rule, in the order in which Prometheus reads them."""
    files = sorted(PROMETHEUS.glob("*.rules.yml"))
    assert len(files) == 2, files
    return [
        rule
        for each in files
        for group in yaml.safe_load(each.read_text())["groups"]
        for rule in group["rules"]
    ]


def rule_expressions() -> list[Expression]:
    return [Expression(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every panel of every dashboard, with the name of its dashboard and its own."""
    files = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    assert len(files) == 3, files
    for file in files:
        for panel in json.loads(file.read_text())["panels"]:
            yield f"{file.stem}: {panel['title']}", panel


def targets(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every query of a kind of data source."""
    for where, panel in panels():
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == kind:
                yield where, target


def dashboard_expressions() -> list[Expression]:
    return [Expression(where, target["expr"]) for where, target in targets("prometheus")]


def metric_names(expression: str) -> set[str]:
    """The metrics that an expression asks for: its words, less labels, functions and keywords."""
    bare = _SPANS.sub(" ", _LABELS.sub(" ", _QUOTED.sub(" ", expression)))
    return {
        word.group()
        for word in _WORD.finditer(bare)
        if word.group() not in _KEYWORDS and not bare[word.end() :].lstrip().startswith("(")
    }
