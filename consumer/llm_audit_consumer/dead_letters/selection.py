"""Which dead letters are meant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters that meet every condition given; all of them where none is.

    Attributes:
        since: First put there at or after this moment.
        until: First put there before this moment.
        reason: With this reason, such as ``unknown_schema_id``.
        topic: From this topic.
    """

    since: datetime | None = None
    until: datetime | None = None
    reason: str | None = None
    topic: str | None = None

    def parameters(self) -> dict[str, object]:
        """As the named queries take them."""
        return asdict(self)


class Place(NamedTuple):
    """Where a message lay, which is also the key of its dead letter."""

    topic_id: str
    partition: int
    offset: int


BEFORE_ALL = Place("", -1, -1)
"""Comes before every place there can be."""


def as_arrays(places: list[Place]) -> dict[str, object]:
    """Places as the named queries take many of them."""
    return {
        "topic_ids": [each.topic_id for each in places],
        "partitions": [each.partition for each in places],
        "offsets": [each.offset for each in places],
    }
