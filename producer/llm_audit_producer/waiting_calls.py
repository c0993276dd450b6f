"""The bounded queue between the threads that make calls and the one that records them."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import NamedTuple

from llm_audit_producer.call import Captured


class Flush:
    """A mark in the queue: everything before it has been handed to the sink once it is reached."""

    def __init__(self) -> None:
        self.reached = threading.Event()


class Stop:
    """A mark in the queue: nothing follows."""


class Waiting(NamedTuple):
    """A call in the queue, and the bytes that it was counted with."""

    captured: Captured
    size: int


class WaitingCalls:
    """Calls that wait, bounded by count and by memory.

    Args:
        entries: Most calls that may wait.
        maximum_bytes: Most memory, in bytes, that they may hold, as they estimate it themselves.
    """

    def __init__(self, entries: int, maximum_bytes: int) -> None:
        self._entries = entries
        self._maximum_bytes = maximum_bytes
        self._queue: SimpleQueue[Waiting | Flush | Stop] = SimpleQueue()
        # Two counters, each written by one side only, need no lock between the sides.
        self._bytes_in = 0
        self._bytes_out = 0

    def __len__(self) -> int:
        return self._queue.qsize()

    def has_room_for(self, size: int) -> bool:
        """Whether a call of ``size`` bytes may wait too."""
        waiting_bytes = self._bytes_in - self._bytes_out
        return len(self) < self._entries and waiting_bytes + size <= self._maximum_bytes

    def put(self, captured: Captured, size: int) -> None:
        """Have a call wait; to be asked first whether there is room, under the lock of all who put."""
        self._bytes_in += size
        self._queue.put(Waiting(captured, size))

    def put_mark(self, mark: Flush | Stop) -> None:
        """Put a mark behind what waits now."""
        self._queue.put(mark)

    def get(self, timeout: float) -> Waiting | Flush | Stop | None:
        """What waits longest; ``None`` when nothing came within ``timeout`` seconds."""
        try:
            return self._queue.get(timeout=timeout)
        except Empty:
            return None

    def done(self, waiting: Waiting) -> None:
        """A call that was taken holds no memory any more."""
        self._bytes_out += waiting.size
