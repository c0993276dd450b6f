import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from llm_audit_consumer.embedded.errors import EmbeddedMissingError
from llm_audit_consumer.embedded.process import ChildProcess, free_ports, port_is_free
from tests.parts.messages import wait_until
from tests.parts.processes import is_alive, parent, wait_gone

SLEEP = shutil.which("sleep") or "/bin/sleep"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""
ORDERLY = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("ready", flush=True)
signal.sigwait({signal.SIGTERM})
print("stopped in order", flush=True)
"""
START_SLEEP = f"""
from pathlib import Path
from llm_audit_consumer.embedded.process import ChildProcess
child = ChildProcess([{SLEEP!r}, "600"], log=Path({{log!r}}), cwd=Path("/"))
child.start()
"""


def test_it_runs_until_it_is_stopped(tmp_path: Path) -> None:
    child = ChildProcess([SLEEP, "600"], log=tmp_path / "log", cwd=tmp_path)
    child.start()
    pid = child.pid
    assert is_alive(pid)

    child.stop()

    assert not child.running
    assert not is_alive(pid)


def test_a_child_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = ChildProcess([sys.executable, "-c", STUBBORN], log=log, cwd=tmp_path, stop_seconds=0.3)
    child.start()
    wait_until(lambda: "deaf" in child.tail(), "the child to ignore SIGTERM")

    child.stop()

    assert not is_alive(child.pid)


def test_a_paused_child_is_stopped_in_order(tmp_path: Path) -> None:
    child = ChildProcess(
        [sys.executable, "-c", ORDERLY], log=tmp_path / "log", cwd=tmp_path, stop_seconds=5.0
    )
    child.start()
    wait_until(lambda: "ready" in child.tail(), "the child to be ready")
    os.kill(child.pid, signal.SIGSTOP)

    child.stop()

    assert "stopped in order" in child.tail(), "it was killed instead"


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = START_SLEEP.format(log=str(tmp_path / "log")) + "print(child.pid, flush=True); input()"
    with parent(code) as (process, (pid,)):
        assert is_alive(pid)
        process.kill()
        wait_gone(pid)


def test_a_child_ends_with_its_parent_though_a_fork_of_the_parent_lives_on(tmp_path: Path) -> None:
    fork = "import os, time\nfork = os.fork()\nif not fork: time.sleep(600)\n"
    code = (
        START_SLEEP.format(log=str(tmp_path / "log")) + fork + "print(child.pid, fork, flush=True); input()"
    )
    with parent(code) as (process, (pid, forked)):
        try:
            process.kill()
            wait_gone(pid)
            assert is_alive(forked)
        finally:
            os.kill(forked, signal.SIGKILL)


def test_a_child_ends_when_its_guard_is_killed(tmp_path: Path) -> None:
    child = ChildProcess([SLEEP, "600"], log=tmp_path / "log", cwd=tmp_path)
    child.start()
    guard = int(Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").split()[3])

    os.kill(guard, signal.SIGKILL)

    wait_gone(child.pid)
    child.stop()


def test_the_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    child = ChildProcess([SLEEP, "600"], log=tmp_path / "log", cwd=tmp_path)
    child.start()

    os.kill(child.pid, signal.SIGKILL)

    wait_until(lambda: not child.running, "the guard to notice")
    assert child.returncode == 128 + signal.SIGKILL


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    child = ChildProcess(["/nowhere/server"], log=tmp_path / "log", cwd=tmp_path)

    with pytest.raises(EmbeddedMissingError, match=r"cannot run /nowhere/server: .*No such file"):
        child.start()


def test_the_tail_is_this_runs_and_the_run_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys; print('line\\n' * 30 + sys.argv[1])"
    first = ChildProcess([sys.executable, "-c", code, "run 1"], log=log, cwd=tmp_path)
    first.start()
    wait_until(lambda: not first.running, "the first run to end")
    child = ChildProcess([sys.executable, "-c", code, "run 2"], log=log, cwd=tmp_path)
    child.start()
    wait_until(lambda: not child.running, "the second run to end")

    assert child.tail(lines=2) == "line\nrun 2"
    assert "run 1" in (tmp_path / "log.1").read_text(encoding="utf-8")


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(10)

    assert len(set(ports)) == 10
    assert all(port_is_free(port) for port in ports)
