"""A claim is one process's, and the kernel's to give up."""

from __future__ import annotations

import os
from pathlib import Path

from llm_audit_producer.spool.claim import Claim
from tests.spool.parts import Service, until

HOLD = """
from pathlib import Path
from llm_audit_producer.spool.claim import Claim
claim = Claim.take(Path(directory) / "a.claim")
say(claim is not None)
sys.stdin.read() if os.isatty(0) else threading.Event().wait(120)
"""


def test_one_process_holds_it_until_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    with Service(HOLD, str(tmp_path), "-") as holder:
        assert holder.line() == "True"
        assert Claim.take(path) is None
        holder.kill()
        claim = Claim.take(path)
        assert claim is not None
        with Service(HOLD, str(tmp_path), "-") as other:
            assert other.line() == "False"
        claim.release()


def test_within_a_process_it_is_held_once_and_asking_does_not_give_it_up(tmp_path: Path) -> None:
    """Closing any descriptor of the file would: a POSIX lock is the process's."""
    path = tmp_path / "a.claim"
    claim = Claim.take(path)
    assert claim is not None
    assert Claim.take(path) is None
    with Service(HOLD, str(tmp_path), "-") as other:
        assert other.line() == "False"
    claim.release()
    again = Claim.take(path)
    assert again is not None
    again.release(remove=True)
    assert not path.exists()


def test_a_forked_child_neither_holds_nor_gives_up_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    claim = Claim.take(path)
    assert claim is not None
    child = os.fork()
    if child == 0:
        taken = Claim.take(path)
        claim.release(remove=True)
        os._exit(0 if taken is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert path.exists()
    with Service(HOLD, str(tmp_path), "-") as other:
        assert other.line() == "False"
    claim.release(remove=True)


def test_a_parent_that_dies_frees_it_though_its_child_lives(tmp_path: Path) -> None:
    parent = """
from pathlib import Path
from llm_audit_producer.spool.claim import Claim
claim = Claim.take(Path(directory) / "a.claim")
child = os.fork()
if child == 0:
    threading.Event().wait(120)
say(child)
threading.Event().wait(120)
"""
    path = tmp_path / "a.claim"
    with Service(parent, str(tmp_path), "-") as process:
        child = int(process.line())
        try:
            process.kill()
            taken: list[Claim] = []

            def free() -> bool:
                claim = Claim.take(path)
                if claim is not None:
                    taken.append(claim)
                return claim is not None

            until(free, "the claim is free")
            os.kill(child, 0)
            taken[0].release()
        finally:
            os.kill(child, 9)


def test_a_claim_file_that_was_removed_meanwhile_is_not_taken_for_the_claim(tmp_path: Path) -> None:
    path = tmp_path / "a.claim"
    claim = Claim.take(path)
    assert claim is not None
    path.unlink()
    claim.release()
    fresh = Claim.take(path)
    assert fresh is not None
    assert path.exists()
    fresh.release(remove=True)
