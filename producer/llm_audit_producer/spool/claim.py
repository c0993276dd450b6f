"""The exclusive right to a spool file: held while a process lives, given up by the kernel when it dies.

A POSIX record lock, because a forked child does not inherit one: a dead parent's file is free although its children
live on. Such a lock belongs to the whole process and ends when *any* of its descriptors of the file is closed, so
what this process holds is remembered, and never opened a second time. Not for network file systems.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Self

_held: set[str] = set()
_guard = threading.Lock()


class Claim:
    """A held lock file; made by :meth:`take`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._process = os.getpid()

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Claim what ``path`` stands for; ``None`` where this or another process holds it.

        Raises:
            OSError: the lock file can be neither made nor opened.
        """
        with _guard:
            if str(path) in _held:
                return None
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                same = os.path.samestat(os.fstat(descriptor), path.stat())
            except OSError:  # held by another process, or removed by one that was done with it
                os.close(descriptor)
                return None
            if not same:
                os.close(descriptor)
                return None
            _held.add(str(path))
            return cls(path, descriptor)

    def release(self, *, remove: bool = False) -> None:
        """Give it up; with ``remove``, the lock file goes first, while it is still held."""
        if os.getpid() != self._process:
            return  # a forked child holds nothing of its parent's
        with _guard:
            if remove:
                self._path.unlink(missing_ok=True)
            _held.discard(str(self._path))
            os.close(self._descriptor)


def _forget_in_child() -> None:
    global _guard  # noqa: PLW0603 - the parent's lock may have been taken at the moment of the fork
    _guard = threading.Lock()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
