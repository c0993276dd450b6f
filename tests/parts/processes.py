"""Watching processes end, and parents that are killed on purpose."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pid: int, seconds: float = 30.0) -> None:
    """Wait until the process has ended (Linux's pidfd signals it); fail at the deadline."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([handle], [], [], seconds)
        assert ended, f"process {pid} still runs after {seconds:g} s"
    finally:
        os.close(handle)


@contextmanager
def parent(code: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run Python code in a process to be killed; its first printed line names the pids of its children."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=_REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the parent ended before it named its children"
        yield process, [int(word) for word in line.split()]
    finally:
        process.kill()
        process.communicate()
