"""``ProducerMarker``: a producer's own word on its life."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from llm_audit_schemas.errors import InvalidEntryError
from llm_audit_schemas.text import JsonObject

KINDS = frozenset({"started", "heartbeat", "ended"})
"""What a marker can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerMarker:
    """That a producer started, still lives, or ended cleanly, and how far its sequence has come.

    Field meanings are those of ``avro/producer_marker.v1.avsc``. ``last_sequence`` is -1 before the first entry.

    Raises:
        InvalidEntryError: ``kind`` is none of :data:`KINDS`.
    """

    producer_id: str
    kind: str
    timestamp: datetime
    last_sequence: int
    dropped: int = 0
    delivery_mode: str
    service: str | None = None
    environment: str | None = None
    host: str | None = None
    process_id: int | None = None
    predecessor: str | None = None
    library_version: str
    details: JsonObject | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidEntryError(f"marker kind {self.kind!r} is unknown; use one of {sorted(KINDS)}")
