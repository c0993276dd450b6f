"""Times as people say them: ``last 24h``, ``7d``, ``yesterday``, ``2026-11-01``. Pure; all in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

FORMS = "'last 24h', '7d', 'today', 'yesterday', 'this month', 2026-11, 2026-11-01 or 2026-11-01T09:30+01:00"
"""What can be said, for messages and help."""

_SPAN = re.compile(
    r"(?:last\s+)?(\d{1,6})\s*(m|min|minutes?|h|hours?|d|days?|w|weeks?)(?:\s+ago)?"
    r"|last\s+(minute|hour|day|week)",
    re.ASCII,
)
_MONTH = re.compile(r"\d{4}-\d{2}", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def moment(words: str, now: datetime) -> datetime:
    """The moment that words mean, in UTC and whole milliseconds, as request ids count.

    A span (``24h``, ``last 7 days``, ``2w ago``, ``last hour``) means so long before ``now``; ``today``, ``yesterday``
    and ``this month`` mean their start; a month (``2026-11``) or a date means its start; a date with a time means that,
    in UTC where it names no other offset.

    Args:
        words: What was said, in any case.
        now: The present, aware.

    Raises:
        ValueError: the words mean nothing here.
    """
    text = " ".join(words.lower().split())
    try:
        found = _meant(text, now.astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{words!r} is no time that is understood here; write {FORMS}") from error
    return found.replace(microsecond=found.microsecond // 1000 * 1000)


def _meant(text: str, now: datetime) -> datetime:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    named = {
        "now": now,
        "today": midnight,
        "yesterday": midnight - timedelta(days=1),
        "this month": midnight.replace(day=1),
    }
    if text in named:
        return named[text]
    if match := _SPAN.fullmatch(text):
        return now - int(match[1] or 1) * _UNITS[(match[2] or match[3])[0]]
    parsed = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text.upper())
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
