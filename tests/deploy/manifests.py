"""The containers and commands that deploy/ describes, however it does."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from tests.deploy.tools import DEPLOY, ROOT

KUBERNETES = DEPLOY / "kubernetes"
UNIT = DEPLOY / "systemd" / "llm-audit-consumer.service"


def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors and merges written out."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def kubernetes_objects() -> list[dict[str, Any]]:
    """What the kustomization lists, and the secret's example beside it."""
    files = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [
        each
        for name in (*files, "secret.example.yaml")
        for each in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that Kubernetes is to run: the name of what makes it, and its specification."""
    for each in kubernetes_objects():
        spec = each.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield each["metadata"]["name"], spec["template"]["spec"]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `llm-audit` command line: where it stands, and its arguments."""
    for name, service in compose()["services"].items():
        if service["image"].startswith("llm-audit-log"):
            yield f"docker-compose.yml: {name}", service["command"]
    for name, pod in pods():
        for container in pod["containers"]:
            yield f"kubernetes: {name}", container["args"]
    for line in UNIT.read_text().splitlines():
        if line.startswith("ExecStart="):
            yield "systemd", shlex.split(line)[1:]
