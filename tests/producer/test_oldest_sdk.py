"""The oldest SDK we allow: the capture's tests run on it as well, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.producer.test_sdk_unchanged import RECORDED as RECORDINGS

OLDEST = "0.108.0"
REPOSITORY = Path(__file__).parents[2]
SUITES = (
    "test_batches.py",
    "test_capture.py",
    "test_failures.py",
    "test_provider_clients.py",
    "test_redaction.py",
    "test_retries.py",
    "test_sdk_unchanged.py",
    "test_stream_properties.py",
    "test_streams.py",
    "test_tool_runs.py",
    "test_tracing.py",
    "test_ways_of_calling.py",
)
RECORDED = [
    f"tests/producer/test_sdk_unchanged.py::test_recordings_{kind}[recorded]" for kind in ("sync", "async")
]
"""Tests that need the recorded API traffic, which is not everywhere; elsewhere than here they skip by themselves."""

EXAMPLES = "60"
"""Damaged streams that each property is tried with here; the newest SDK gets the full number."""

INSTALL_SECONDS = 240
RUN_SECONDS = 300


@pytest.fixture(scope="module")
def oldest_sdk() -> Path:
    """Installed once per machine and Python version, into the cache that the tests' Kafka lies in too."""
    cache = os.environ.get("LLM_AUDIT_CACHE")
    root = Path(cache) if cache else Path.home() / ".cache" / "llm-audit-log"
    target = root / f"anthropic-{OLDEST}-py{sys.version_info.major}{sys.version_info.minor}"
    if not (target / "complete").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--target", str(target), "--upgrade", f"anthropic=={OLDEST}"],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"pip could not install anthropic=={OLDEST}: {done.stderr.strip()[-2000:]}")
        (target / "complete").touch()
    return target


def test_the_capture_works_on_the_oldest_sdk(oldest_sdk: Path) -> None:
    path = os.pathsep.join([str(oldest_sdk), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "LLM_AUDIT_TEST_EXAMPLES": EXAMPLES}
    version = subprocess.run(
        [sys.executable, "-c", "import anthropic; print(anthropic.__version__)"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert version.stdout.strip() == OLDEST
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"tests/producer/{name}" for name in SUITES),
            *(() if RECORDINGS.exists() else (f"--deselect={test}" for test in RECORDED)),
        ],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 350
    assert "skipped" not in done.stdout
