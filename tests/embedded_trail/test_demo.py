"""`llm-audit demo` and `llm-audit dev`: the whole trail on this machine, and nothing left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

LLM_AUDIT = [sys.executable, "-m", "llm_audit_consumer.cli"]
DEADLINE_SECONDS = 120.0


def processes_mentioning(marker: str) -> list[str]:
    """Command lines of running processes that hold the marker."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it ended meanwhile
            if marker in command:
                found.append(command)
    return found


@pytest.mark.parametrize("broker", ["auto", "mock"])
def test_the_demo_shows_what_it_recorded_and_leaves_nothing(broker: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [*LLM_AUDIT, "demo", "--broker", broker],
        check=False,  # the exit code is what is tested
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for said in (
        "12/12",
        "margaret",
        "blocked",
        "not_found_error",
        "llm_audit_consumer_rows_total 12.0",
        "too few days",
    ):
        assert said in run.stdout
    assert len(re.findall(r"^ +\d\d:\d\d:\d\d +\w", run.stdout, re.MULTILINE)) == 12
    assert ("mock" in run.stdout) == (broker == "mock")
    assert processes_mentioning(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@contextmanager
def dev_stack(folder: Path) -> Iterator[dict[str, str]]:
    """`llm-audit dev`, once it is ready; gives the variables it wrote, and stops it as Ctrl-C does."""
    variables = folder / "variables.sh"
    variables.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*LLM_AUDIT, "dev", "--broker", "mock", "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not variables.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "llm-audit dev did not become ready"
            time.sleep(0.05)
        lines = variables.read_text().splitlines()
        yield {
            name: value.strip("'")
            for name, _, value in (line.removeprefix("export ").partition("=") for line in lines)
        }
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def users(dsn: str, count: int) -> list[str]:
    """The users in the table, once there are ``count`` rows."""
    deadline = time.monotonic() + 30.0
    connection = psycopg2.connect(dsn)
    try:
        while True:
            with connection, connection.cursor() as cursor:
                cursor.execute("SELECT user_id FROM llm_audit_log ORDER BY request_id")
                found = [user for (user,) in cursor]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} rows of {count}"
            time.sleep(0.05)
    finally:
        connection.close()


def log_one(variables: dict[str, str], user: str) -> None:
    code = f"import llm_audit_producer as p; a = p.AuditLogger(); a.log_request(user_id={user!r}); a.close()"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **variables}, timeout=60)


def test_the_development_database_survives_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    with dev_stack(folder) as variables:
        assert (folder / "variables.sh").stat().st_mode & 0o077 == 0
        log_one(variables, "before")
        assert users(variables["LLM_AUDIT_POSTGRES_DSN"], 1) == ["before"]
    with dev_stack(folder) as variables:
        log_one(variables, "after")
        assert users(variables["LLM_AUDIT_POSTGRES_DSN"], 2) == ["before", "after"]
    assert processes_mentioning(str(folder)) == []
