"""Notices that a topic was deleted and made again while it is read.

The client reads on at the old offsets, as if nothing had happened; where the new topic already reaches so far, what
lies before them would be skipped without a word. So its id is asked for now and then, in a thread, since a broker may
be slow to answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from llm_audit_consumer.errors import BrokerUnavailableError

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 10.0
_STOP_SECONDS = 1.0


class TopicWatch:
    """Asks for a topic's id every few seconds.

    Args:
        ask: Gives the id; may wait, and may raise ``BrokerUnavailableError``.
        every_seconds: Time between two questions.
    """

    def __init__(self, ask: Callable[[], str], every_seconds: float = _EVERY_SECONDS) -> None:
        self._ask = ask
        self._every_seconds = every_seconds
        self._seen: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llm-audit-topic-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question that is under way is not waited for."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def other_than(self, known: set[str]) -> str | None:
        """The id now, where it is none of those known; ``None`` where nothing has changed or the broker does not say.

        What was seen may be older than what is known, so that a difference is asked for once more.
        """
        seen, self._seen = self._seen, None
        if seen is None or not known or known == {seen}:
            return None
        current = self._current()
        return None if current is None or known == {current} else current

    def _run(self) -> None:
        while not self._stopping.wait(self._every_seconds):
            self._seen = self._current()

    def _current(self) -> str | None:
        try:
            return self._ask()
        except BrokerUnavailableError as error:  # also while the topic is gone
            logger.debug("the topic's id is not known now: %s", error)
            return None
