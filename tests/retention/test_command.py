"""The command: looks without touching, asks to be meant, says what it did."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from click.testing import CliRunner

from llm_audit_consumer.cli.retention import command
from llm_audit_consumer.errors import ConfigurationError, RetentionIncompleteError
from llm_audit_consumer.store import migrate
from tests.parts.databases import Database
from tests.retention.log import Log
from tests.retention.test_content import TODAY
from tests.retention.test_months import some
from tests.retention.trail import stored
from tests.roles.logins import Logins


def run(*arguments: str) -> Any:
    done = CliRunner().invoke(command, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def filled(log: Log) -> Log:
    log.write(some(TODAY - timedelta(days=400), count=4) + some(TODAY - timedelta(days=800), count=3))
    log.write(some(TODAY - timedelta(days=800), "nobody-knows", 2))
    return log


def test_a_plan_changes_nothing_and_an_auditor_may_ask_it(filled: Log, new_login: Logins) -> None:
    before = stored(filled.dsn)
    auditor = new_login(filled.dsn, "llm_audit_auditor")
    plan = json.loads(run("plan", "--dsn", auditor, "--json").stdout)
    assert {(step["action"], step["retention_class"]): step["rows"] for step in plan["steps"]}[
        ("delete_rows", "standard")
    ] == 3
    assert plan["rows"] == {"nobody-knows": 2, "standard": 7}
    assert plan["without_policy"] == ["nobody-knows"]
    said = run("plan", "--dsn", auditor)
    assert "delete_rows" in said.stdout
    assert "2 rows of the class nobody-knows have no policy" in said.stderr
    later = json.loads(run("plan", "--dsn", auditor, "--json", "--as-of", "2099-01-01").stdout)
    assert sum(step["rows"] for step in later["steps"] if step["action"] == "delete_rows") == 7
    assert stored(filled.dsn) == before
    assert filled.query("SELECT count(*) FROM llm_audit_retention_action") == [(0,)]


def test_apply_wants_to_be_meant(filled: Log, new_login: Logins) -> None:
    retention = new_login(filled.dsn, "llm_audit_retention")
    before = stored(filled.dsn)
    for options in ([], ["--yes", "--dry-run"]):
        with pytest.raises(ConfigurationError, match="for good") as caught:
            run("apply", "--dsn", retention, *options)
        assert "--dry-run" in caught.value.hint
    assert "delete_rows" in run("apply", "--dsn", retention, "--dry-run").stdout
    assert stored(filled.dsn) == before
    done = json.loads(run("apply", "--dsn", retention, "--yes", "--json", "--by", "Ada").stdout)
    assert done["done"]["rows"]["delete_rows"] == 3
    assert len(stored(filled.dsn)) == 6
    history = json.loads(run("history", "--dsn", new_login(filled.dsn, "llm_audit_auditor"), "--json").stdout)
    assert {(each["operator"], each["run_id"]) for each in history} == {("Ada", done["done"]["run_id"])}
    assert {each["database_role"][:6] for each in history} == {"login_"}
    (deleted,) = [each for each in history if each["action"] == "delete_rows"]
    assert (deleted["rows"], deleted["policy"]["metadata"]) == (3, "2 years")
    assert "Nothing had expired" in run("apply", "--dsn", retention, "--yes").stdout
    assert "delete_rows" in run("history", "--dsn", retention).stdout


def test_a_log_with_gdpr_needs_the_operators_word(log: Log, policy_file: Path) -> None:
    log.write(some(TODAY - timedelta(days=800), "gdpr") + some(TODAY - timedelta(days=800), "standard"))
    for options in (["plan"], ["apply", "--yes"], ["apply", "--dry-run"]):
        with pytest.raises(
            ConfigurationError, match="does not state: metadata, hashes, errors, content"
        ) as caught:
            run(*options, "--dsn", log.dsn)
        assert "justification" in caught.value.hint
    assert len(stored(log.dsn)) == 6
    run("apply", "--yes", "--dsn", log.dsn, "--policy-file", str(policy_file))
    assert stored(log.dsn) == {}


def test_a_long_query_is_said_with_an_exit_code(filled: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = psycopg2.connect(filled.dsn)
    later = TODAY.replace(year=TODAY.year + 9)
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM llm_audit_log")
        monkeypatch.setattr("llm_audit_consumer.cli.retention.datetime", Clock(later))
        with pytest.raises(RetentionIncompleteError, match="were put off"):
            run("apply", "--dsn", filled.dsn, "--yes", "--patience", "1")
    reader.close()


class Clock:
    """Stands in for `datetime` where the command asks what time it is."""

    def __init__(self, moment: Any) -> None:
        self._moment = moment

    def now(self, _zone: object) -> Any:
        return self._moment


def test_exit_codes_and_words_without_a_trace(database: Database, policy_file: Path) -> None:
    def exit_of(*arguments: str) -> tuple[int, str]:
        program = [sys.executable, "-m", "llm_audit_consumer.cli", "retention", *arguments]
        done = subprocess.run(program, check=False, capture_output=True, timeout=60, text=True)
        return done.returncode, done.stderr

    code, said = exit_of("plan", "--dsn", database.dsn)
    assert (code, "llm-audit migrate" in said) == (5, True)
    migrate(database.dsn)
    code, said = exit_of("apply", "--dsn", database.dsn)
    assert (code, "hint:" in said) == (2, True)
    policy_file.write_text("[policies")
    code, said = exit_of("policies", "--policy-file", str(policy_file))
    assert (code, "cannot be read" in said) == (2, True)
    assert exit_of("plan", "--dsn", "postgresql://nobody:secret-word@127.0.0.1:1/x")[0] == 3


def test_the_policies_in_force_can_be_seen(policy_file: Path) -> None:
    table = run("policies").stdout
    assert "metadata, hashes, errors, content" in table
    found = {
        each["name"]: each
        for each in json.loads(run("policies", "--json", "--policy-file", str(policy_file)).stdout)
    }
    assert found["gdpr"]["justifications"]["metadata"] == "billing disputes"
    assert found["hipaa"]["content"] == "never"


@pytest.mark.parametrize("name", ["plan", "apply", "history", "policies"])
def test_every_help_has_an_example(name: str) -> None:
    assert f"llm-audit retention {name}" in run(name, "--help").stdout
