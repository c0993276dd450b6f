"""To the millisecond: what is as old as its period is still kept, what is older is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from llm_audit_consumer.retention.policies import Policies
from llm_audit_schemas import request_id_at
from tests.retention.log import Log, moment
from tests.retention.test_months import YEAR, some
from tests.retention.trail import expected, stored

MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize("days", [0, 365, 730])  # before anything, when hashes and messages go, when rows go
def test_what_is_just_old_enough(days: int, log: Log, policies: Policies) -> None:
    at = moment(YEAR, 3)
    full = replace(some(at)[0], error_message="said", input_hash="a" * 64, hash_key_id="key")
    moments = [at - MILLISECOND * 2, at - MILLISECOND, at, at + MILLISECOND]
    log.write([replace(full, request_id=request_id_at(each), timestamp=each) for each in moments])
    before = stored(log.dsn)
    as_of = at.replace(year=at.year + days // 365)
    log.apply(policies, as_of)
    left = stored(log.dsn)
    assert left == expected(log.dsn, before, as_of)
    whole = [row["timestamp"] for row in left.values() if row["error_message"] and row["input_hash"]]
    assert len(left) == (2 if days == 730 else 4)
    assert sorted(whole) == {0: moments, 365: moments[2:], 730: []}[days]
