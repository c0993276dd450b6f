"""Content goes by its own period: whole months by dropping them, else row by row."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from llm_audit_consumer.retention import holds
from llm_audit_consumer.retention.holds import Scope
from llm_audit_consumer.retention.planning import DELETE_CONTENT, DROP_MONTH
from llm_audit_consumer.retention.policies import Policies, content_allowed, shipped
from tests.retention.log import Log
from tests.retention.trail import entry_at

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
MONTH = TODAY.replace(day=1)  # the content's months begin with the month before the migration


def keep(log: Log, at: datetime, retention_class: str, *, entry: bool = True, user_id: str = "ada") -> str:
    """A call, and what was said in it."""
    made = entry_at(at, retention_class, random.Random(f"{at}{retention_class}{user_id}"))
    if entry:
        log.write([replace(made, user_id=user_id, tenant=None)])
    for part in ("input", "output"):
        log.query(
            "INSERT INTO llm_audit_content (request_id, part, key_id, plain_bytes, canonical_form, truncated, "
            "retention_class, sealing, compression, wrapped) VALUES "
            f"('{made.request_id}', '{part}', '{uuid.uuid4()}', 5, 1, false, '{retention_class}', 'hpke', 'none', 'x')"
        )
    return made.request_id


def kept(log: Log) -> list[str]:
    found = log.query(
        "SELECT request_id::text FROM llm_audit_content WHERE part = 'input' ORDER BY request_id"
    )
    assert log.query("SELECT count(*) FROM llm_audit_content") == [(2 * len(found),)]
    return [request_id for (request_id,) in found]


def test_content_is_kept_for_its_period_to_the_moment(log: Log, policies: Policies) -> None:
    young, old = keep(log, MONTH + timedelta(days=5), "standard"), keep(log, MONTH, "standard")
    as_of = MONTH + timedelta(days=90)
    assert log.apply(policies, as_of).rows.get(DELETE_CONTENT) is None
    outcome = log.apply(policies, as_of + timedelta(milliseconds=1))
    assert (outcome.rows[DELETE_CONTENT], kept(log)) == (2, [young])
    assert log.query("SELECT count(*) FROM llm_audit_log") == [(2,)]
    assert old != young


def test_a_month_of_content_is_dropped_and_late_content_finds_a_place(log: Log, policies: Policies) -> None:
    keep(log, MONTH, "standard")
    outcome = log.apply(policies, MONTH + timedelta(days=130))
    assert (outcome.rows[DROP_MONTH], kept(log)) == (2, [])
    assert f"llm_audit_content_{MONTH:%Y_%m}" in outcome.months
    late = keep(log, MONTH + timedelta(days=2), "forever")
    assert kept(log) == [late]
    assert log.apply(policies, MONTH + timedelta(days=131)).rows[DELETE_CONTENT] == 2


def test_what_should_never_have_been_stored_goes_at_once(log: Log, policies: Policies) -> None:
    keep(log, MONTH, "hipaa")
    stays = keep(log, MONTH, "nobody-knows")
    assert log.apply(policies, MONTH + timedelta(days=1)).rows == {DELETE_CONTENT: 2}
    assert kept(log) == [stays]


def test_content_without_its_entry_expires_too(log: Log, policies: Policies) -> None:
    keep(log, MONTH, "standard", entry=False)
    stays = keep(log, MONTH + timedelta(days=20), "standard", entry=False)
    log.apply(policies, MONTH + timedelta(days=100))
    assert kept(log) == [stays]


@pytest.mark.parametrize("days", [100, 200])  # row by row, and the whole month
def test_content_under_a_hold_stays(days: int, log: Log, policies: Policies) -> None:
    held = keep(log, MONTH, "standard", user_id="ada")
    orphan = keep(log, MONTH + timedelta(days=1), "standard", entry=False)  # may be hers
    keep(log, MONTH + timedelta(days=2), "standard", user_id="eve")
    hold = holds.place(log.dsn, Scope(user_id="ada"), placed_by="Grace", reason="case")
    assert sum(log.apply(policies, MONTH + timedelta(days=days)).plan.held.values()) == 4
    assert kept(log) == sorted([held, orphan])
    holds.release(log.dsn, hold, released_by="Grace", reason="closed")
    log.apply(policies, MONTH + timedelta(days=days))
    assert kept(log) == []


def test_which_classes_may_have_content(policies: Policies) -> None:
    allowed = {name: content_allowed(name) for name in ("standard", "hipaa", "gdpr", "hippa", "")}
    assert allowed == {"standard": True, "hipaa": False, "gdpr": False, "hippa": False, "": False}
    assert content_allowed("forever", policies)
    assert not content_allowed("gdpr", policies)  # its policy says never
    assert not content_allowed("forever", shipped())
