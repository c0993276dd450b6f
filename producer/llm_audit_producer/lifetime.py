"""The life of the process a recorder lives in: it drains at the end and starts anew in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Protocol

from llm_audit_producer.faults import say


class Mortal(Protocol):
    """What has to know of the process's end and of a fork."""

    def close(self) -> int:
        """The process ends."""
        ...

    def after_fork(self) -> None:
        """This is a forked child, in which no other thread lives on."""
        ...


_living: weakref.WeakSet[Mortal] = weakref.WeakSet()


def follow(recorder: Mortal) -> None:
    """Tell ``recorder`` of the process's end and of forks, as long as somebody holds it."""
    _living.add(recorder)
    atexit.register(_close, weakref.ref(recorder))


def follow_worker_process(recorder: Mortal) -> None:
    """Tell it of a ``multiprocessing`` worker's end too, which runs none of Python's exit handlers.

    To be called once it records something, since such a worker forgets the finalizers that it was born with.
    """
    if "multiprocessing.process" not in sys.modules:
        return
    from multiprocessing import parent_process
    from multiprocessing.util import Finalize

    if parent_process() is not None:
        Finalize(None, _close, args=(weakref.ref(recorder),), exitpriority=0)


def _close(reference: weakref.ref[Mortal]) -> None:
    recorder = reference()
    if recorder is not None:
        recorder.close()


def _reset_in_child() -> None:
    for recorder in list(_living):
        try:
            recorder.after_fork()
        except Exception as error:  # noqa: BLE001 - the child's other producers must still be told
            say("a forked child cannot use its producer", error)


os.register_at_fork(after_in_child=_reset_in_child)
