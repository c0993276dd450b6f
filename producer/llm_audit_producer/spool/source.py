"""One spool file on its way to the destination: what was handed over, what came back, what is to be tried again.

Entries are handed over in the order of their sequences. One that is delivered is forgotten by the file soon after;
should the process die in between, it is delivered again, and the table, whose key is request_id, keeps it once.

What a destination refuses is never dropped. Where it refuses the entry for what it is (too large, not in the
schema), the entry is parked and the rest go on. Where it refuses for another reason (no such topic, no right to write),
everything waits a while and is then tried again from there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from llm_audit_producer.errors import SinkError
from llm_audit_producer.spool.claim import Claim
from llm_audit_producer.spool.spool_file import SpoolFile
from llm_audit_schemas import AuditEntry

logger = logging.getLogger("llm_audit_producer")

_AT_ONCE = 200
_IN_FLIGHT = 2_000
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
_OF_ITSELF = frozenset({"too_large", "invalid_entry"})
"""Reasons that lie in the entry, and not in the destination."""


class Source:
    """A spool file being drained.

    :meth:`move` and :meth:`forget_delivered` belong to one thread; reports may come on any.

    Args:
        file: The open file.
        claim: The right to it.
        own: Whether this process's producer writes it.
    """

    def __init__(self, file: SpoolFile, claim: Claim, *, own: bool) -> None:
        self.file = file
        self.claim = claim
        self.own = own
        self._lock = threading.Lock()
        self._in_flight: set[int] = set()
        self._delivered: list[int] = []
        self._after = -1
        self._try_again_at = 0.0
        self._wait = _FIRST_WAIT_SECONDS

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.file.path

    @property
    def empty(self) -> bool:
        """Whether every entry was delivered and forgotten."""
        return self.file.count == 0

    @property
    def waiting(self) -> int:
        """Entries that are still to be delivered, without those that were put aside."""
        return self.file.count - self.file.parked

    def move(self, append: Callable[[AuditEntry], None]) -> int:
        """Hand the next entries over; returns how many.

        Raises:
            SpoolBrokenError: the file cannot be read.
        """
        if time.monotonic() < self._try_again_at:
            return 0
        with self._lock:
            room = min(_AT_ONCE, _IN_FLIGHT - len(self._in_flight))
        if room <= 0:
            return 0
        moved = 0
        for sequence, entry in self.file.read(self._after, room):
            if time.monotonic() < self._try_again_at:
                break  # refused meanwhile: this one and those after it come again, from there
            self._after = sequence
            if entry is None:
                self._park(sequence, "it cannot be read back; keep the file and report this")
            elif self._starts(sequence):
                moved += self._hand_over(sequence, entry, append)
        return moved

    def delivered(self, entry: AuditEntry) -> None:
        """The destination has an entry."""
        with self._lock:
            self._in_flight.discard(entry.sequence)
            self._delivered.append(entry.sequence)
            self._wait = _FIRST_WAIT_SECONDS

    def refused(self, entry: AuditEntry, reason: str, message: str) -> None:
        """The destination does not take an entry."""
        if reason in _OF_ITSELF:
            self._park(entry.sequence, message)
        else:
            self._hold_back(entry.sequence, message)

    def forget_delivered(self) -> None:
        """Delete what was delivered.

        Raises:
            SpoolBrokenError: the disk does not take it.
        """
        with self._lock:
            delivered, self._delivered = self._delivered, []
        for start in range(0, len(delivered), _AT_ONCE):
            self.file.forget(delivered[start : start + _AT_ONCE])

    def _starts(self, sequence: int) -> bool:
        with self._lock:
            if sequence in self._in_flight or sequence in self._delivered:
                return False
            self._in_flight.add(sequence)
            return True

    def _hand_over(self, sequence: int, entry: AuditEntry, append: Callable[[AuditEntry], None]) -> int:
        try:
            append(entry)
        except SinkError as error:
            self.refused(entry, error.reason, str(error))
            return 0
        except BaseException:
            self._hold_back(sequence, "the sink failed")
            raise
        return 1

    def _park(self, sequence: int, message: str) -> None:
        self.file.park(sequence)
        with self._lock:
            self._in_flight.discard(sequence)
        logger.error("llm-audit: audit entry %d of %s is put aside: %s", sequence, self.path, message)

    def _hold_back(self, sequence: int, message: str) -> None:
        with self._lock:
            self._in_flight.discard(sequence)
            self._after = min(self._after, sequence - 1)
            now = time.monotonic()
            if now < self._try_again_at:
                return  # one of many that came back together
            self._try_again_at = now + self._wait
            wait, self._wait = self._wait, min(self._wait * 2, _LONGEST_WAIT_SECONDS)
        logger.warning(
            "llm-audit: spooled entries are refused and tried again in %.0f s: %s; they are safe in %s",
            wait,
            message,
            self.path,
        )
