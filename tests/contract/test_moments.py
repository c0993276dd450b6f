"""Times as people say them: the same in the commands of the producer and in those of the consumer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import time_range
from llm_audit_schemas import moments

NOW = datetime(2026, 11, 23, 12, 34, 56, 789123, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("now", NOW.replace(microsecond=789000)),
        ("last 24h", NOW.replace(microsecond=789000) - timedelta(days=1)),
        (" Last  7 Days ", NOW.replace(microsecond=789000) - timedelta(days=7)),
        ("2w ago", NOW.replace(microsecond=789000) - timedelta(weeks=2)),
        ("last hour", NOW.replace(microsecond=789000) - timedelta(hours=1)),
        ("today", datetime(2026, 11, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 22, tzinfo=UTC)),
        ("this month", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-10", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01t09:30+01:00", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("2026-11-01T09:30:00.123456", datetime(2026, 11, 1, 9, 30, 0, 123000, tzinfo=UTC)),
    ],
)
def test_words_mean_one_moment(words: str, expected: datetime) -> None:
    assert moments.moment(words, NOW) == expected == time_range.moment(words, NOW)


@pytest.mark.parametrize(
    "words", ["", "whenever", "7", "last 7 moons", "2026-13", "999999w", "2026-11-01T25:00"]
)
def test_words_that_mean_nothing_are_refused_with_the_forms(words: str) -> None:
    with pytest.raises(ValueError, match="last 24h"):
        moments.moment(words, NOW)
    with pytest.raises(ConfigurationError):
        time_range.moment(words, NOW)
