"""When a Kafka client that should be delivering has gone silent for too long. No I/O, no clock.

Seen under kill -9 of a broker: a client made at that moment stayed connected to the broker that came back, and never
sent what it held nor reported an error. Nothing tells such a client from one whose broker is slow, except time; so the
wait doubles each time, and sending again what had arrived after all does no harm.
"""

from __future__ import annotations

FIRST_WAIT_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 600.0


class StuckWatch:
    """Judges silence."""

    def __init__(self) -> None:
        self._silent_since: float | None = None
        self._wait = FIRST_WAIT_SECONDS

    def reported(self) -> None:
        """A delivery report came, good or bad."""
        self._silent_since = None
        self._wait = FIRST_WAIT_SECONDS

    def is_due(self, now: float, *, waiting: bool) -> bool:
        """Whether silence has lasted so long, while something waited to be delivered, that it is to be looked into.

        Args:
            now: Seconds on a clock that never goes back.
            waiting: Whether anything waits to be delivered.
        """
        if not waiting:
            self._silent_since = None
            return False
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < self._wait:
            return False
        self._silent_since = now
        self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)
        return True
