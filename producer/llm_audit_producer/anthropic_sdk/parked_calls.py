"""Calls whose last attempt failed in a way that the SDK retries.

The SDK does not tell a middleware whether it will try again; it may, and then the next attempt continues the call
that is parked here under its idempotency key, which stays the same over a call's attempts. Where no attempt follows
(the caller was cancelled while it waited, or an outer middleware answered instead) the call ended with the failure
it was parked with, and is recorded so once no retry can come any more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from llm_audit_producer.anthropic_sdk.exchange import CallInProgress
from llm_audit_producer.call import Captured

LONGEST_RETRY_WAIT_SECONDS = 120.0
"""No SDK retry comes later: it waits at most what ``retry-after`` says, heeded up to 60 s, plus the attempt itself."""


@dataclass(slots=True, frozen=True)
class _Parked:
    progress: CallInProgress
    ending: Captured
    expires: float
    process: int


class ParkedCalls:
    """Calls between two attempts.

    Args:
        submit: Records a call that turns out to have ended.
    """

    def __init__(self, submit: Callable[[Captured], object]) -> None:
        self._submit = submit
        self._parked: dict[str, _Parked] = {}

    def park(self, key: str, progress: CallInProgress, ending: Captured) -> None:
        """Hold a failed attempt, which is the call's ending if no other attempt follows."""
        self._parked[key] = _Parked(
            progress, ending, time.monotonic() + LONGEST_RETRY_WAIT_SECONDS, os.getpid()
        )

    def resume(self, key: str) -> CallInProgress | None:
        """The call that a further attempt continues; ``None`` where it is not known."""
        parked = self._parked.pop(key, None)
        return None if parked is None else parked.progress

    def settle(self, closing: bool) -> None:  # noqa: FBT001 - the recorder's tick, called positionally
        """Record the calls that can no longer be retried; all of them when ``closing``.

        A forked child forgets those of its parent, which records them itself.
        """
        now = time.monotonic()
        for key, parked in list(self._parked.items()):
            if (
                (closing or parked.expires <= now)
                and self._parked.pop(key, None) is not None
                and parked.process == os.getpid()
            ):
                self._submit(parked.ending)
