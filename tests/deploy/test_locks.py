"""What the images install is locked, with hashes, and is what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.tools import DEPLOY, ROOT

LOCKS = DEPLOY / "locks"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(file: Path) -> dict[str, str]:
    """Package to version; every package has a hash."""
    text = file.read_text()
    found: dict[str, str] = {}
    for block in re.split(r"(?m)^(?=[A-Za-z0-9])", text):
        if match := re.match(r"([\w.-]+)==([\w.!+]+)", block):
            assert "--hash=sha256:" in block, f"{file.name}: {match[1]} has no hash"
            found[canonicalize_name(match[1])] = match[2]
    assert found
    return found


def asked(*extras: str) -> list[Requirement]:
    project = PROJECT["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    return [Requirement(line) for line in lines]


def inputs(name: str) -> list[Requirement]:
    lines = (LOCKS / name).read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


CASES = [
    ("consumer.lock", asked("consumer", "registry")),
    ("demo.lock", [*asked("anthropic", "registry"), *inputs("demo.in")]),
    ("build.lock", [Requirement(line) for line in PROJECT["build-system"]["requires"]]),
]


@pytest.mark.parametrize(("name", "wanted"), CASES, ids=[name for name, _ in CASES])
def test_the_lock_holds_what_is_asked_for(name: str, wanted: list[Requirement]) -> None:
    found = locked(LOCKS / name)
    for requirement in wanted:
        have = found.get(canonicalize_name(requirement.name))
        assert have is not None, f"{name} lacks {requirement}; deploy/locks/README.md says how it is made"
        assert requirement.specifier.contains(have, prereleases=True), f"{name}: {requirement}, but {have}"
