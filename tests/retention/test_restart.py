"""A run that is cut off anywhere leaves nothing to repair: the next one ends where one run would have ended."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from llm_audit_consumer.errors import RetentionIncompleteError
from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.store.postgres import Database as Connection
from tests.retention.log import Log, moment
from tests.retention.test_months import YEAR, some
from tests.retention.trail import entries_between, expected, stored

AS_OF = moment(YEAR + 2, 3)


class CutOffError(Exception):
    """The run ends here."""


def fill(log: Log) -> None:
    log.months_until(date(YEAR, 8, 1))
    chance, classes = random.Random(3), ["standard", "gdpr", "forever"]
    log.write(
        [
            *some(moment(YEAR, 1), "standard", 12),
            *some(moment(YEAR, 2), "hipaa", 5),
            *some(moment(YEAR, 2), "standard", 25),
            *some(moment(2001, 1), "standard", 11),
            *entries_between(moment(YEAR, 4), moment(YEAR, 6), classes, chance, every=timedelta(days=20)),
        ]
    )


def test_cut_off_between_any_two_transactions(log: Log, policies: Policies) -> None:
    fill(log)
    before = stored(log.dsn)
    seen, reached = list[str](), 0
    while True:
        left, named = reached, ""

        def checkpoint(name: str) -> None:
            nonlocal left, named
            if left == 0:
                named = name
                raise CutOffError
            left -= 1

        try:
            log.apply(policies, AS_OF, checkpoint=checkpoint)
            break
        except CutOffError:
            seen.append(named)
            # Each run does a part of the work, so the same number of steps further on is a new place.
            reached = (reached + 1) % 3
            after = stored(log.dsn)
            assert set(expected(log.dsn, before, AS_OF)) <= set(after) | retired(log)
    assert {"bounded", "validated", "retired", "delete_rows", "clear_hashes", "clear_errors"} <= set(seen)
    assert stored(log.dsn) == expected(log.dsn, before, AS_OF)
    assert retired(log) == set()
    assert log.apply(policies, AS_OF).rows == {}
    removed = len(before) - len(stored(log.dsn))
    sums = "SELECT sum(rows)::bigint FROM llm_audit_retention_action WHERE action IN ('drop_month', 'delete_rows')"
    assert log.query(sums) == [(removed,)]


def retired(log: Log) -> set[str]:
    """The ids in months that are out of the log and not dropped yet."""
    tables = log.query(
        "SELECT relname::text FROM pg_class WHERE relname ~ '^llm_audit_retired_log_\\d{4}_\\d\\d$'"
    )
    return {str(each) for (name,) in tables for (each,) in log.query(f"SELECT request_id::text FROM {name}")}


@pytest.mark.faults
def test_killed_in_the_middle(log: Log, policies: Policies, policy_file: Path) -> None:
    fill(log)
    before = stored(log.dsn)
    for place in ("retired", "delete_rows", "opened clear_hashes"):
        arguments = [log.dsn, str(policy_file), AS_OF.isoformat(), place]
        program = [sys.executable, "-m", "tests.retention.killed", *arguments]
        done = subprocess.run(program, check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL, place
    log.apply(policies, AS_OF)
    assert stored(log.dsn) == expected(log.dsn, before, AS_OF)
    cut_off = "SELECT count(*) > 0 FROM llm_audit_retention_action WHERE finished_at IS NULL"
    assert log.query(cut_off) == [(True,)]


def test_one_run_at_a_time(log: Log, policies: Policies) -> None:
    other = Connection(log.dsn, application_name="other-run")
    with other.transaction():
        other.rows("SELECT pg_advisory_lock(hashtext('llm_audit_retention'))")
    with pytest.raises(RetentionIncompleteError, match="another run"):
        log.apply(policies, AS_OF)
    other.close()
    log.apply(policies, AS_OF)
