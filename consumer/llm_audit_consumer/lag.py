"""How far behind the consumer is. Pure; what is not known stays unknown instead of becoming zero."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Lag:
    """A partition's lag; ``None`` while not known.

    Attributes:
        messages: Messages that are not in the database yet.
        seconds: Age of the oldest of them, 0 when there is none.
    """

    messages: int | None
    seconds: float | None


def judge_lag(
    *, high_watermark: int | None, next_offset: int | None, oldest_waiting: datetime | None, now: datetime
) -> Lag:
    """The lag of one partition.

    Args:
        high_watermark: Offset that the next message will get, where the broker has told it.
        next_offset: Offset that is next to be stored; ``None`` when nothing has been.
        oldest_waiting: When the broker got the oldest message that was consumed and is not stored yet.
        now: The present, UTC.
    """
    if high_watermark is None:
        return Lag(None, _age(oldest_waiting, now))
    behind = max(0, high_watermark - (next_offset or 0))
    if behind == 0:
        return Lag(0, 0.0)
    return Lag(behind, _age(oldest_waiting, now))


def _age(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())
