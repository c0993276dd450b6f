"""``llm-audit dead-letters`` as an operator runs it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from llm_audit_consumer.cli import dead_letters
from llm_audit_consumer.cli.group import cli
from llm_audit_consumer.dead_letters import purging
from llm_audit_consumer.errors import ConfigurationError, DeadLetterMissingError, DeadLettersRemainError
from llm_audit_consumer.store import AuditStore
from tests.consumer.entries import new_record
from tests.consumer.tables import Tables
from tests.dead_letters.letters import SECRET, of_value, put, readable
from tests.parts.databases import Database

PLACE = ("topic-id", "2", "5")


def run(database: Database, *arguments: str) -> Result:
    return CliRunner().invoke(dead_letters.command, arguments, env={"LLM_AUDIT_POSTGRES_DSN": database.dsn})


def age(tables: Tables, days: float, where: str = "true") -> None:
    tables.query(
        f"UPDATE llm_audit_dead_letter SET first_seen_at = now() - make_interval(secs => %s) WHERE {where}",
        days * 86400,
    )


def test_it_is_found_by_its_name_with_a_hyphen() -> None:
    answer = CliRunner().invoke(cli, ["dead-letters", "--help"])
    assert answer.exit_code == 0
    assert "dead-letters purge" in answer.output
    assert "dead-letters" in CliRunner().invoke(cli, ["--help"]).output


def test_list_shows_facts_and_counts_and_never_the_message(trail: Database, store: AuditStore) -> None:
    put(
        store,
        *(of_value(SECRET.encode(), offset=each) for each in range(3)),
        readable(new_record(), offset=9),
    )
    table = run(trail, "list")
    assert table.exit_code == 0, table.output
    assert "not_framed" in table.output
    assert "topic-id" in table.output
    answer = run(trail, "list", "--json", "--reason", "not_framed")
    rows = json.loads(answer.stdout)
    assert {(row["topic_id"], row["partition"], row["offset"], row["bytes"]) for row in rows} == {
        ("topic-id", 2, each, len(SECRET)) for each in range(3)
    }
    counts = json.loads(run(trail, "list", "--counts", "--json").stdout)
    assert {(each["reason"], each["messages"]) for each in counts} == {
        ("not_framed", 3),
        ("unknown_schema_id", 1),
    }
    assert len(json.loads(run(trail, "list", "--json", "--limit", "2").stdout)) == 2
    for each in (table, answer):
        assert SECRET not in each.output
        assert SECRET.encode().hex() not in each.output


def test_list_by_time_and_topic(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, of_value(b"old", offset=0), of_value(b"new", offset=1))
    age(tables, 3, '"offset" = 0')
    assert [each["offset"] for each in json.loads(run(trail, "list", "--json", "--since", "1d").stdout)] == [
        1
    ]
    assert [each["offset"] for each in json.loads(run(trail, "list", "--json", "--until", "1d").stdout)] == [
        0
    ]
    assert json.loads(run(trail, "list", "--json", "--topic", "another").stdout) == []
    assert "No dead letters." in run(trail, "list", "--topic", "another").output


def test_show_gives_facts_and_bytes_only_when_asked(
    trail: Database, store: AuditStore, tmp_path: Path
) -> None:
    value = SECRET.encode() + bytes(range(256)) * 20
    put(store, of_value(value, offset=5))
    plain = run(trail, "show", *PLACE)
    assert plain.exit_code == 0, plain.output
    assert "not_framed" in plain.output
    assert SECRET not in plain.output
    assert value[:16].hex() not in plain.output
    found = json.loads(run(trail, "show", *PLACE, "--json", "--hex", "16").stdout)
    assert (found["value_bytes"], found["value_hex"]) == (len(value), value[:16].hex())
    assert run(trail, "show", *PLACE, "--hex", "5000").exit_code == 2
    file = tmp_path / "letter.bin"
    answer = run(trail, "show", *PLACE, "--raw", str(file))
    assert file.read_bytes() == value
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "personal data" in answer.stderr
    again = run(trail, "show", *PLACE, "--raw", str(file))
    assert isinstance(again.exception, ConfigurationError), "a file that is there was overwritten"
    assert isinstance(run(trail, "show", "topic-id", "2", "6").exception, DeadLetterMissingError)


def test_show_a_tombstone(trail: Database, store: AuditStore) -> None:
    put(store, of_value(None, "empty", offset=5))
    found = json.loads(run(trail, "show", *PLACE, "--json", "--hex", "16").stdout)
    assert (found["value_bytes"], found["value_hex"]) == (None, "")


def test_replay_says_what_came_of_it(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, readable(new_record(), offset=0), of_value(b"junk", offset=1))
    trial = run(trail, "replay", "--dry-run")
    assert trial.exit_code == 0, trial.output
    assert "examined 2: 1 can be decoded" in trial.output
    assert "would remain: 1 not_framed" in trial.output
    assert tables.row_count() == 0
    done = run(trail, "replay", "--json")
    assert isinstance(done.exception, DeadLettersRemainError)
    assert json.loads(done.stdout) == {
        "dry_run": False,
        "examined": 2,
        "inserted": 1,
        "duplicates": 0,
        "remaining": {"not_framed": 1},
    }
    assert (tables.row_count(), tables.dead_letter_count()) == (1, 1)


def test_purge_refuses_without_yes(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, of_value(b"junk"))
    age(tables, 100)
    refused = run(trail, "purge")
    assert isinstance(refused.exception, ConfigurationError)
    assert "1 dead letters would be deleted" in str(refused.exception)
    assert "would delete: 1" in run(trail, "purge", "--dry-run").output
    assert tables.dead_letter_count() == 1
    assert "deleted: 1" in run(trail, "purge", "--yes").output
    assert tables.dead_letter_count() == 0


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ((), {0, 1, 2}),
        (("--older-than-days", "20"), {0, 1}),
        (("--older-than-days", "20", "--reason", "another"), {0, 1, 2, 3}),
        (("--older-than-days", "0", "--reason", "not_framed", "--since", "10d"), {2, 3}),
    ],
)
def test_purge_deletes_the_chosen_that_are_old_enough(
    trail: Database,
    store: AuditStore,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    kept: set[int],
) -> None:
    monkeypatch.setattr(purging, "_AT_A_TIME", 1)
    put(store, *(of_value(b"junk", offset=each) for each in range(4)))
    for offset, days in enumerate((1, 8, 30, 89.9)):
        age(tables, days, f'"offset" = {offset}')
    if not arguments:
        age(tables, 90.1, '"offset" = 3')
    run(trail, "purge", "--yes", *arguments)
    assert {each for (each,) in tables.query('SELECT "offset" FROM llm_audit_dead_letter')} == kept


def test_the_days_come_from_the_environment(trail: Database, store: AuditStore, tables: Tables) -> None:
    put(store, of_value(b"junk"))
    age(tables, 8)
    answer = CliRunner().invoke(
        dead_letters.command,
        ["purge", "--yes", "--json"],
        env={"LLM_AUDIT_POSTGRES_DSN": trail.dsn, "LLM_AUDIT_DEAD_LETTER_DAYS": "7"},
    )
    assert json.loads(answer.stdout)["purged"] == 1
