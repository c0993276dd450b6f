"""SIGSTOP and SIGCONT for a server with all its processes: PostgreSQL's backends have sessions of their own."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def freeze(pid: int) -> None:
    """Stop a process, then its children: one that it starts meanwhile is seen too."""
    os.kill(pid, signal.SIGSTOP)
    for each in _children(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let a process and its children go on."""
    for each in [*_children(pid), pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    """The processes that it has started, without theirs (Linux)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(each) for each in (task / "children").read_text().split()]
    return found
