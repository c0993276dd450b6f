"""A producer's word on its own life: that it started, how far its sequence has come, that it ended cleanly.

Whoever counts the entries behind the topic learns from it what is missing and what is only late: see the consumer's
completeness. Every captured call uses one sequence, so the highest one is always ``captured - 1``, counting also
calls that still wait and calls that were lost.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from llm_audit_producer.entry_builder import LIBRARY_VERSION
from llm_audit_producer.statistics import StatisticsSnapshot
from llm_audit_schemas import ProducerMarker
from llm_audit_schemas.text import JsonObject, bounded

_NAME_LIMIT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerFacts:
    """What every marker of a process says of it.

    Attributes:
        delivery_mode: ``memory``, ``spool`` or ``strict``.
        service: Name of the service.
        environment: Its deployment environment.
        heartbeat_seconds: Time between two heartbeats.
    """

    delivery_mode: str = "memory"
    service: str | None = None
    environment: str | None = None
    heartbeat_seconds: float = 15.0


def marker(
    kind: str,
    producer_id: str,
    facts: ProducerFacts,
    *,
    last_sequence: int,
    dropped: int,
    predecessor: str | None = None,
    details: JsonObject | None = None,
) -> ProducerMarker:
    """A marker of this moment and this process."""
    return ProducerMarker(
        producer_id=producer_id,
        kind=kind,
        timestamp=datetime.now(UTC),
        last_sequence=last_sequence,
        dropped=dropped,
        delivery_mode=facts.delivery_mode,
        service=_name(facts.service),
        environment=_name(facts.environment),
        host=_name(socket.gethostname()),
        process_id=os.getpid(),
        predecessor=predecessor,
        library_version=LIBRARY_VERSION,
        details=details,
    )


class LifeMarks:
    """When a producer has something to say of itself.

    Args:
        send: Sends a marker; may drop it.
        producer_id: Whose life.
        facts: What every marker says.
        predecessor: The producer that this one was forked from.
    """

    def __init__(
        self,
        send: Callable[[ProducerMarker], None],
        producer_id: str,
        facts: ProducerFacts,
        predecessor: str | None,
    ) -> None:
        self._send = send
        self._producer_id = producer_id
        self._facts = facts
        self._predecessor = predecessor
        self._next_heartbeat: float | None = None

    def started(self, statistics: StatisticsSnapshot) -> None:
        """The first entry is about to be sent."""
        self._say("started", statistics)

    def heartbeat_if_due(self, statistics: StatisticsSnapshot) -> None:
        """Say how far the sequence has come, if that was said long enough ago."""
        if self._next_heartbeat is not None and time.monotonic() >= self._next_heartbeat:
            self._say("heartbeat", statistics)

    def ended(self, statistics: StatisticsSnapshot) -> None:
        """Nothing follows; said only of a life that was said to have started."""
        if self._next_heartbeat is not None:
            self._say("ended", statistics)

    def _say(self, kind: str, statistics: StatisticsSnapshot) -> None:
        self._next_heartbeat = time.monotonic() + self._facts.heartbeat_seconds
        self._send(
            marker(
                kind,
                self._producer_id,
                self._facts,
                last_sequence=statistics.captured - 1,
                dropped=statistics.lost_total,
                predecessor=self._predecessor,
            )
        )


def _name(text: str | None) -> str | None:
    return None if text is None else bounded(text, _NAME_LIMIT)
