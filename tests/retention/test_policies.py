"""Policies as data: what a file may say, and what it is told when it cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.retention.periods import Period, period
from llm_audit_consumer.retention.policies import GROUPS, load, shipped

MOMENT = datetime(2028, 2, 29, 12, tzinfo=UTC)


def file_of(folder: Path, text: str) -> Path:
    path = folder / "policies.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("written", "before"),
    [
        ("2 years", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("4 years", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("1 month", datetime(2028, 1, 29, 12, tzinfo=UTC)),
        ("14 months", datetime(2026, 12, 29, 12, tzinfo=UTC)),
        ("1 day", datetime(2028, 2, 28, 12, tzinfo=UTC)),
        ("never", MOMENT),
        ("forever", None),
        ("5000 years", None),
    ],
)
def test_a_period_ends_on_the_calendars_day(written: str, before: datetime | None) -> None:
    assert period(written).before(MOMENT) == before
    assert period(str(period(written))) == period(written)


@pytest.mark.parametrize(
    "written", ["", "2", "0 days", "two years", "-1 days", "2 weeks", "2 years 1 day", "2years"]
)
def test_what_is_no_period_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="is no period"):
        period(written)


def test_the_shipped_ones_are_the_lessons() -> None:
    periods = {name: {group: str(each) for group, each in p.periods.items()} for name, p in shipped().items()}
    assert periods == {
        "standard": {"metadata": "2 years", "hashes": "1 year", "errors": "1 year", "content": "90 days"},
        "hipaa": {"metadata": "6 years", "hashes": "6 years", "errors": "6 years", "content": "never"},
        "gdpr": {},
    }
    assert shipped()["gdpr"].missing == GROUPS
    assert load(None) is shipped()


def test_a_file_changes_a_period_and_adds_a_class(tmp_path: Path) -> None:
    text = (
        '[policies.standard]\nhashes = "6 months"\n'
        '[policies.lab]\nmetadata = "30 days"\nhashes = "1 day"\nerrors = "30 days"\ncontent = "never"\n'
    )
    policies = load(file_of(tmp_path, text))
    assert policies["standard"].periods["hashes"] == Period(months=6)
    assert policies["standard"].periods["metadata"] == shipped()["standard"].periods["metadata"]
    assert policies["lab"].missing == ()
    assert policies["hipaa"] == shipped()["hipaa"]


def test_gdpr_is_complete_only_with_a_reason_for_each_period(tmp_path: Path) -> None:
    lines = [f'{group} = {{period = "1 year", justification = "because"}}' for group in GROUPS]
    assert load(file_of(tmp_path, "\n".join(["[policies.gdpr]", *lines])))["gdpr"].missing == ()
    lines[1] = 'hashes = "1 year"'
    lines[2] = 'errors = {period = "1 year", justification = "  "}'
    gdpr = load(file_of(tmp_path, "\n".join(["[policies.gdpr]", *lines, "needs_justification = false"])))[
        "gdpr"
    ]
    assert gdpr.missing == ("hashes", "errors")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policies", "cannot be read"),
        ("[policy.x]", "holds policy"),
        ("x = 1", "holds x"),
        ("", "holds no"),
        ("policies = 1", r"holds no \[policies.NAME\]"),
        ("[policies]\nstandard = 1", "standard is no table"),
        ('[policies.standard]\nhashs = "1 year"', "holds hashs"),
        ('[policies.standard]\nhashes = "1 yaer"', "standard.hashes '1 yaer' is no period"),
        ("[policies.standard]\nhashes = 365", "standard.hashes must be a text"),
        ('[policies.standard]\nhashes = {time = "1 year"}', "may hold period and justification"),
        ('[policies.standard]\nhashes = {justification = "x"}', "must be a text"),
        ('[policies.standard]\nhashes = "3 years"', "longer than the row"),
        ('[policies.standard]\nhashes = "forever"', "longer than the row"),
        ('[policies.standard]\nmetadata = "11 months"', "longer than the row"),
        ('[policies.standard]\nmetadata = "never"', "only content can be left out"),
        ('[policies.hipaa]\ncontent = "1 day"', "give entries with content a class of their own"),
        ('[policies.hipaa]\ncontent = "1 day"\ncontent_is_final = false', "must stay"),
        ('[policies.lab]\nmetadata = "1 year"', "states no period for hashes, errors, content"),
        ("[policies.gdpr]\nneeds_justification = 1", "must be true or false"),
    ],
)
def test_what_cannot_be_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        load(file_of(tmp_path, text))
    assert caught.value.hint


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        load(tmp_path / "nowhere.toml")
