"""Which days are called anomalous, and who is named without being judged."""

from __future__ import annotations

import pytest

from llm_audit_consumer.errors import ConfigurationError
from tests.parts.databases import Database
from tests.reports.trail import call, days_of, rows, write

TEN_DAYS = [
    *days_of("spiky", [100, 110, 90, 105, 95, 100, 102, 98, 101, 2000]),
    *days_of("heavy", [90_000, 100_000, 95_000, 105_000, 99_000, 101_000, 98_000, 97_000, 103_000, 100_000]),
    *days_of("even", [100] * 9 + [120]),
    *days_of("new", [10, 9000]),
]


def test_an_anomaly_is_a_day_unlike_the_users_own(database: Database) -> None:
    write(database.dsn, TEN_DAYS)
    # spiky: median 100.5; deviations from it 0.5 1.5 2.5 4.5 5.5 9.5 10.5 ..., whose median 3.5 times 1.4826 is
    # below a tenth of the median, so (2000 - 100.5) / 10.05.
    assert [tuple(row.values()) for row in rows(database, "anomalies")] == [
        ("spiky", "2026-11-10", 1, 2000, 101, 10, "189", "anomaly"),
        ("new", "2026-11-02", 1, 9000, None, 2, None, "too few days"),
    ]


def test_the_plain_form_blames_who_is_merely_heavy(database: Database) -> None:
    write(
        database.dsn, [entry for entry in TEN_DAYS if entry.user_id != "heavy"] + days_of("heavy", [100_000])
    )
    assert [row["user_id"] for row in rows(database, "anomalies", "--plain")] == ["heavy"]


def test_the_plain_form_is_the_mean_and_three_standard_deviations(database: Database) -> None:
    # Mean 190, sample standard deviation 298.5: 1090 lies 3.02 of them above. Over ten days no day could reach 3.
    write(database.dsn, days_of("ada", [100] * 10 + [1090]))
    assert [tuple(row.values()) for row in rows(database, "anomalies", "--plain")] == [
        ("ada", "2026-11-11", 1, 1090, 190, 11, "3", "anomaly")
    ]
    assert rows(database, "anomalies", "--plain", "--threshold", "3.1") == []


def test_a_spread_wider_than_a_tenth_of_the_median_is_taken_as_it_is(database: Database) -> None:
    # Median 100, deviations from it 0 50 50 50 50 300: their median 50 makes a spread of 74.13.
    write(database.dsn, days_of("uneven", [50, 150, 100, 50, 150, 400, 100]))
    assert rows(database, "anomalies") == []
    (row,) = rows(database, "anomalies", "--threshold", "4")
    assert (row["tokens"], row["usual_tokens"], row["deviations"]) == (400, 100, "4")


def test_days_before_tell_what_is_usual_and_are_not_judged(database: Database) -> None:
    write(database.dsn, TEN_DAYS)
    one_day = ["--since", "2026-11-10T08:00", "--until", "2026-11-11"]
    assert [(row["user_id"], row["days"]) for row in rows(database, "anomalies", time=one_day)] == [
        ("spiky", 10)
    ]
    found = rows(database, "anomalies", "--history-days", "0", time=one_day)
    assert {(row["user_id"], row["verdict"]) for row in found} == {
        (name, "too few days") for name in ("spiky", "heavy", "even")
    }
    before = ["--since", "2026-11-09", "--until", "2026-11-10"]
    assert rows(database, "anomalies", time=before) == []
    after = ["--since", "2026-11-11", "--until", "2026-11-12"]
    assert rows(database, "anomalies", time=after) == []


def test_the_first_day_is_whole_however_late_the_range_begins(database: Database) -> None:
    write(
        database.dsn,
        [
            *days_of("ada", [100] * 6),
            call(7, user_id="ada", hour=1, input_tokens=900),
            call(7, user_id="ada", hour=20, input_tokens=100),
        ],
    )
    (row,) = rows(database, "anomalies", time=["--since", "2026-11-07T12:00", "--until", "2026-11-08"])
    assert (row["tokens"], row["calls"]) == (1000, 2)


def test_a_day_that_reported_no_tokens_is_no_day_of_zero(database: Database) -> None:
    write(
        database.dsn,
        [
            *days_of("failing", [None] * 6),
            *days_of("failing", [100, 100, 100, 100, 100], first=7),
            *days_of("silent", [None] * 6),
        ],
    )
    assert [tuple(row.values()) for row in rows(database, "anomalies")] == [
        ("silent", "2026-11-06", 1, None, None, 0, None, "too few days")
    ]


def test_tokens_are_of_every_kind_and_thinking_is_not_counted_twice(database: Database) -> None:
    every_kind = call(
        9,
        input_tokens=1000,
        output_tokens=200,
        thinking_tokens=150,
        cache_read_tokens=30,
        cache_write_5m_tokens=4,
        cache_write_1h_tokens=5,
    )
    write(database.dsn, [*days_of("ada", [10] * 8), every_kind])
    assert [row["tokens"] for row in rows(database, "anomalies")] == [1239]


@pytest.mark.parametrize(("minimum", "verdict"), [(6, "anomaly"), (7, "too few days")])
def test_the_least_number_of_days_counts_itself(minimum: int, verdict: str, database: Database) -> None:
    write(database.dsn, days_of("ada", [100] * 5 + [5000]))
    (row,) = rows(database, "anomalies", "--minimum-days", str(minimum))
    assert (row["day"], row["verdict"]) == ("2026-11-06", verdict)


def test_anomalies_come_before_those_not_judged(database: Database) -> None:
    write(database.dsn, TEN_DAYS)
    assert [row["user_id"] for row in rows(database, "anomalies", "--limit", "1")] == ["spiky"]


@pytest.mark.parametrize("threshold", ["nan", "inf"])
def test_a_threshold_that_is_no_number_is_refused(threshold: str, database: Database) -> None:
    with pytest.raises(ConfigurationError, match="--threshold"):
        rows(database, "anomalies", "--threshold", threshold)
