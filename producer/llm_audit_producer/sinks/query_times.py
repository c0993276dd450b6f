"""The times one asks a sink about."""

from __future__ import annotations

from datetime import datetime


def require_aware(**times: datetime | None) -> None:
    """Refuse a time without a timezone: it would mean another moment on another machine.

    Raises:
        ValueError: naming the time and the mend.
    """
    for name, time in times.items():
        if time is not None and time.utcoffset() is None:
            raise ValueError(
                f"{name} {time!r} has no timezone; give an aware datetime, such as datetime.now(UTC)"
            )
