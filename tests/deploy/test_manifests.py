"""docker-compose.yml, Kubernetes and systemd: valid by their own schemas, and by what this project asks of them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml
from compose_spec import PyCompose

from llm_audit_consumer.cli.group import cli
from llm_audit_producer.settings import VARIABLES
from llm_audit_schemas import kafka_connection, topics
from llm_audit_schemas.topics import TopicSpec
from tests.deploy.manifests import KUBERNETES, UNIT, commands, compose, kubernetes_objects, pods
from tests.deploy.tools import DEPLOY, ROOT, tool

KUBERNETES_VERSIONS = ("1.30", "1.34")
KEDA = "keda.sh/v1alpha1"
RUN_ONCE = {"topics", "migrate"}


def context_of(arguments: list[str]) -> click.Context:
    """The command line as click reads it; one that it does not take is an error."""
    context = click.Context(cli)
    command: click.Command = cli
    while isinstance(command, click.Group):
        name, command_found, arguments = command.resolve_command(context, arguments)
        assert command_found is not None
        context = click.Context(command_found, parent=context, info_name=name)
        command = command_found
    dsn = ["--dsn", "x"] if any(option.name == "dsn" for option in command.params) else []
    return command.make_context(context.info_name, [*arguments, *dsn], parent=context.parent)


def known_variables() -> set[str]:
    found = {variable for variable, _ in VARIABLES.values()} | set(kafka_connection.VARIABLES.values())
    groups: list[click.Command] = [cli]
    while groups:
        command = groups.pop()
        for parameter in command.params:
            found.update([parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or [])
        if isinstance(command, click.Group):
            context = click.Context(command)
            groups += [
                each
                for name in command.list_commands(context)
                if (each := command.get_command(context, name))
            ]
    return found


def test_every_command_line_is_one_that_llm_audit_takes() -> None:
    found = list(commands())
    assert len(found) >= 6
    for where, arguments in found:
        try:
            context_of(list(arguments))
        except click.UsageError as error:
            raise AssertionError(f"{where}: {shlex_join(arguments)}: {error.format_message()}") from error


def shlex_join(arguments: list[str]) -> str:
    return " ".join(["llm-audit", *arguments])


def test_every_variable_is_one_that_somebody_reads() -> None:
    files = [ROOT / "docker-compose.yml", *(file for file in DEPLOY.rglob("*") if file.is_file())]
    for file in files:
        if file.suffix in {".pyc", ".lock"}:
            continue
        said = set(re.findall(r"\bLLM_AUDIT_[A-Z_]*[A-Z]\b", file.read_text()))
        assert said <= known_variables(), f"{file.name}: {said - known_variables()}"


# docker compose


def test_compose_file_is_valid_by_the_specification() -> None:
    read = PyCompose.from_json(json.dumps(compose()))
    read.validate()
    read.to_spec()


def test_docker_compose_itself_takes_it() -> None:
    docker = shutil.which("docker")
    version = docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if not docker or not version or version.returncode != 0:
        pytest.skip(
            "docker compose is not here; the specification's own schema was asked instead (the test above)"
        )
    for profile in ([], ["--profile", "registry"]):
        done = subprocess.run(
            [docker, "compose", "--file", str(ROOT / "docker-compose.yml"), *profile, "config", "--quiet"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_compose_services_are_pinned_unprivileged_and_checked() -> None:
    services = compose()["services"]
    for name, service in services.items():
        assert re.fullmatch(r"[a-z/-]+:[v\d][\w.-]*\d[\w.-]*|llm-audit-(log|demo):local", service["image"]), (
            name
        )
        assert service["cap_drop"] == ["ALL"], name
        assert "build" in service or service["user"].split(":")[0] not in {"0", "root"}, name
        assert name in RUN_ONCE or "healthcheck" in service, name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} opens {port} to the network"
        for other, wanted in service.get("depends_on", {}).items():
            right = "service_completed_successfully" if other in RUN_ONCE else "service_healthy"
            assert wanted["condition"] == right, f"{name} starts too early for {other}"
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).exists(), volume


# Kubernetes


def test_kubernetes_takes_every_object() -> None:
    for each in kubernetes_objects():
        if each["apiVersion"] != KEDA:  # its definitions are KEDA's own, which no package carries
            for version in KUBERNETES_VERSIONS:
                kubernetes_validate.validate(each, version, strict=True)


def test_kustomize_builds_it() -> None:
    kubectl = tool_or_skip("kubectl")
    built = subprocess.run(
        [kubectl, "kustomize", str(KUBERNETES)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    objects = list(yaml.safe_load_all(built.stdout))
    examples = [each for each in kubernetes_objects() if each["kind"] == "Secret"]
    assert len(objects) == len(kubernetes_objects()) - len(examples)
    assert "image: llm-audit-log\n" not in built.stdout


def tool_or_skip(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here; each file was checked by itself (the test above)")
    return found


def test_pods_are_unprivileged_and_bounded() -> None:
    found = dict(pods())
    assert set(found) == {"llm-audit-consumer", "llm-audit-migrate", "llm-audit-retention"}
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert "memory" in container["resources"]["limits"], name


def test_the_autoscaler_scales_what_is_there() -> None:
    objects = {(each["kind"], each["metadata"]["name"]): each for each in kubernetes_objects()}
    scaled = objects["ScaledObject", "llm-audit-consumer"]["spec"]
    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in objects
    assert scaled["maxReplicaCount"] == TopicSpec(topics.ENTRIES).partitions
    (trigger,) = scaled["triggers"]
    settings = objects["ConfigMap", "llm-audit"]["data"]
    assert trigger["metadata"]["topic"] == settings["LLM_AUDIT_TOPIC"]
    assert trigger["metadata"]["consumerGroup"] == settings["LLM_AUDIT_GROUP"]
    assert trigger["metadata"]["bootstrapServers"] == settings["LLM_AUDIT_KAFKA_BOOTSTRAP"]
    secret = objects["Secret", "llm-audit"]["stringData"]
    reference = objects["TriggerAuthentication", trigger["authenticationRef"]["name"]]["spec"]
    assert {each["key"] for each in reference["secretTargetRef"]} <= set(secret)


# systemd


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "on Debian: apt-get install systemd")
    unit = tmp_path / UNIT.name
    # Its command is not installed here; anything that can be run stands in for it.
    text = UNIT.read_text().replace("/opt/llm-audit/bin/llm-audit", "/bin/true")
    unit.write_text(text.replace("/etc/llm-audit/consumer.env", "-/etc/llm-audit/consumer.env"))
    done = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
