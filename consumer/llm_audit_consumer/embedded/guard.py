"""Stands between a parent and one server, and stops the server when the parent is gone.

Run as a script (`python -I -S guard.py SPEC`), standard library only. A process of its own, because the
kernel's parent-death signal alone is not enough: it follows the *thread* that forked, it is lost when the
child changes its user, and it exists on Linux only.

Protocol: the guard prints one line, `pid N` or `error TEXT`, and then waits for the first of
  - the server ends: the guard ends with the server's return code (128 + n after signal n);
  - its standard input closes, or its parent changes: it sends the stop signal, waits for the bound, then
    kills the server's process group.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TypedDict

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PARENT_CHECK_SECONDS = 0.5


class Spec(TypedDict):
    """What the guard is to run."""

    argv: list[str]
    log: str
    cwd: str
    parent: int
    stop_signal: int
    stop_seconds: float
    user: int | None
    group: int | None


def _death_signal(number: int) -> Callable[[], None] | None:
    """Return a hook that makes the kernel send `number` to the server if this guard itself is killed."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, number)


def _start(spec: Spec) -> subprocess.Popen[bytes]:
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return subprocess.Popen(  # noqa: S603 - the argv comes from our own parent
        spec["argv"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=spec["cwd"],
        user=spec["user"],
        group=spec["group"],
        extra_groups=None if spec["user"] is None else [],
        start_new_session=True,
        # Safe here: the guard has one thread. It runs after the change of user, which would clear it.
        preexec_fn=_death_signal(spec["stop_signal"]),  # noqa: PLW1509
    )


def _stop(server: subprocess.Popen[bytes], spec: Spec) -> None:
    server.send_signal(spec["stop_signal"])
    server.send_signal(signal.SIGCONT)  # a paused server could not act on the stop signal
    try:
        server.wait(spec["stop_seconds"])
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def main() -> int:
    """Run the server of the spec in `sys.argv[1]` until it ends or the parent is gone."""
    spec: Spec = json.loads(sys.argv[1])
    child_ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    try:
        server = _start(spec)
    except OSError as error:
        print(f"error {error}", flush=True)  # noqa: T201 - the protocol's answer
        return 127
    print(f"pid {server.pid}", flush=True)  # noqa: T201 - the protocol's answer
    while server.poll() is None:
        ready, _, _ = select.select([sys.stdin, child_ended], [], [], _PARENT_CHECK_SECONDS)
        if child_ended in ready:
            os.read(child_ended, 64)
        # The parent check matters where a forked copy of the parent still holds our standard input open.
        if sys.stdin in ready or os.getppid() != spec["parent"]:
            _stop(server, spec)
    code = server.returncode
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
