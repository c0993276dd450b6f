"""Times as people say them: ``last 24h``, ``7d``, ``yesterday``, ``2026-11-01``. Pure; all in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from llm_audit_consumer.errors import ConfigurationError

_SPAN = re.compile(r"(?:last\s+)?(\d{1,6})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)(?:\s+ago)?")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def moment(words: str, now: datetime) -> datetime:
    """The moment that words mean.

    A span (``24h``, ``last 7 days``, ``2w ago``) means so long before ``now``; ``today`` and ``yesterday`` mean the
    start of that day; a date means its start; a date with a time means that, in UTC where it names no other offset.

    Raises:
        ConfigurationError: the words mean nothing here.
    """
    text = words.strip().lower()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if text in named:
        return named[text]
    try:
        if match := _SPAN.fullmatch(text):
            return now - int(match[1]) * _UNITS[match[2][0]]
        parsed = datetime.fromisoformat(words.strip())
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{words!r} is no time that is understood here",
            "write 'last 24h', '7d', 'today', 'yesterday', 2026-11-01 or 2026-11-01T09:30+01:00",
        ) from error
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
