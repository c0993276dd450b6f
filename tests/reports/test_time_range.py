from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports.time_range import moment

NOW = datetime(2026, 3, 1, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("now", NOW),
        ("24h", NOW - timedelta(hours=24)),
        ("last 24h", NOW - timedelta(hours=24)),
        ("Last  7 days ", NOW - timedelta(days=7)),
        ("2w ago", NOW - timedelta(weeks=2)),
        ("90 minutes ago", NOW - timedelta(minutes=90)),
        ("0d", NOW),
        ("last hour", NOW - timedelta(hours=1)),
        ("last week", NOW - timedelta(days=7)),
        ("today", datetime(2026, 3, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, tzinfo=UTC)),
        ("this month", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-02", datetime(2026, 2, 1, tzinfo=UTC)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2028-02-29", datetime(2028, 2, 29, tzinfo=UTC)),
        ("2026-02-03T10:00", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("2026-02-03 10:00", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("2026-02-03T10:00Z", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("2026-02-03T10:00+02:00", datetime(2026, 2, 3, 8, tzinfo=UTC)),
        ("2026-02-03T10:00:00.123987", datetime(2026, 2, 3, 10, microsecond=123_000, tzinfo=UTC)),
        # A local clock goes from 02:00 to 03:00 that day; in UTC every hour of it exists.
        ("2026-03-29T02:30", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    ],
)
def test_words_mean_a_moment(words: str, meant: datetime) -> None:
    found = moment(words, NOW)
    assert found == meant
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("now", "today", "yesterday"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), (2026, 3, 1), (2026, 2, 28)),
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), (2026, 12, 31), (2026, 12, 30)),
        (datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))), (2026, 12, 31), (2026, 12, 30)),
    ],
)
def test_days_begin_at_midnight_in_utc(
    now: datetime, today: tuple[int, int, int], yesterday: tuple[int, int, int]
) -> None:
    assert moment("today", now) == datetime(*today, tzinfo=UTC)
    assert moment("yesterday", now) == datetime(*yesterday, tzinfo=UTC)


@pytest.mark.parametrize(
    "words",
    [
        *("", " ", "tomorrowish", "7 fortnights", "last h", "last", "h", "ago", "999999w", "-3d", "7.5d"),
        *(
            "2026-02-30",
            "2026-13",
            "2026",
            "9999-12-31T23:59-10:00",
            "0001-01-01T00:00+10:00",
            "\N{ARABIC-INDIC DIGIT SEVEN}d",
        ),
        "24h; DROP TABLE llm_audit_log",
    ],
)
def test_other_words_are_refused_with_the_mend(words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        moment(words, NOW)
    assert "last 24h" in caught.value.hint
