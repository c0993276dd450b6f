"""Tools of other projects that the tests of deploy/ call: found on the path, or said loudly to be missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"


def tool(name: str, mend: str) -> str:
    """The path of a program.

    A missing one is a failure where they are required (LLM_AUDIT_REQUIRE_TOOLS=1), else a skip that says so.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    words = f"{name} is not installed; {mend}"
    if os.environ.get("LLM_AUDIT_REQUIRE_TOOLS") == "1":
        pytest.fail(words)
    pytest.skip(words)


def promtool() -> str:
    return tool("promtool", "on Debian: apt-get install prometheus")


def prometheus() -> str:
    return tool("prometheus", "on Debian: apt-get install prometheus")
