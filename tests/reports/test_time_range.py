from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
        ("Last 7 days", NOW - timedelta(days=7)),
        ("2w ago", NOW - timedelta(weeks=2)),
        ("90 minutes ago", NOW - timedelta(minutes=90)),
        ("today", datetime(2026, 3, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-02-03T10:00", datetime(2026, 2, 3, 10, tzinfo=UTC)),
        ("2026-02-03T10:00+02:00", datetime(2026, 2, 3, 8, tzinfo=UTC)),
    ],
)
def test_words_mean_a_moment(words: str, meant: datetime) -> None:
    assert moment(words, NOW) == meant


@pytest.mark.parametrize(
    "words", ["", "tomorrowish", "7 fortnights", "last h", "999999w", "2026-02-30", "-3d"]
)
def test_other_words_are_refused_with_the_mend(words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        moment(words, NOW)
    assert "last 24h" in caught.value.hint
