"""Erasing a user: what is gone, what stays, what is recorded, and what forbids it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from click.testing import CliRunner, Result

from llm_audit_consumer.cli.group import cli
from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.keys import Subject
from llm_audit_consumer.content.wrapping import StoredContent, reveal
from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.errors import ConfigurationError, ContentUnreadableError, LegalHoldError
from llm_audit_schemas import AuditEntry, EntryCodec, request_id_at
from tests.consumer.entries import new_entry
from tests.consumer.tables import Tables
from tests.content.stored import store_content, store_entries
from tests.content.trail import PRIVATE_KEY, forms_of
from tests.parts.databases import Database
from tests.roles.logins import Logins

HASHES = {
    "content_mode": "encrypted",
    "hash_key_id": "k1",
    "canonical_form": 1,
    "system_prompt_hash": "a" * 64,
    "input_hash": "b" * 64,
    "output_hash": "c" * 64,
}
POINTERS = {
    "session_id": "session-ada",
    "api_key_fingerprint": "0123",
    "trace_id": "t",
    "span_id": "s",
    "run_id": "run",
    "batch_id": "batch",
    "custom_id": "ada's own",
    "error_message": "ada's card was refused",
    "metadata": {"name": "Ada"},
}


def erase(dsn: str, key_store: str, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["erase", "--dsn", dsn, "--key-store", key_store, *arguments])


def erased(dsn: str, key_store: str, *arguments: str) -> dict[str, Any]:
    result = erase(dsn, key_store, "--reason", "request 12", "--by", "grace", "--yes", "--json", *arguments)
    assert result.exception is None, result.exception
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def one_of(user_id: str, **changes: Any) -> AuditEntry:
    return new_entry(user_id=user_id, **{**HASHES, **POINTERS, **changes})


def rows(dsn: str, columns: str, user_id: str) -> list[tuple[Any, ...]]:
    return Tables(dsn).query(f"SELECT {columns} FROM llm_audit_log WHERE user_id = %s ORDER BY 1", user_id)


def with_content(dsn: str, key_store: str, entry: AuditEntry) -> list[StoredContent]:
    store_entries(dsn, entry)
    return store_content(dsn, key_store, entry, forms_of("a secret question", "a secret answer"))


@pytest.mark.parametrize("key_store", ["postgresql", "file"], indirect=True)
def test_nothing_of_the_content_opens_again_with_all_the_keys_that_are_left(
    trail: Database, key_store: str
) -> None:
    backup = with_content(trail.dsn, key_store, one_of("ada"))
    others = with_content(trail.dsn, key_store, one_of("bob"))
    before = open_key_store(key_store, trail.dsn)
    adas, bobs = before.key(backup[0].key_id), before.key(others[0].key_id)
    assert adas is not None
    assert bobs is not None
    private = {PRIVATE_KEY.key_id: PRIVATE_KEY}
    assert "a secret question" in str(reveal(backup[0], adas, private))
    before.close()
    said = erased(trail.dsn, key_store, "--user", "ada")
    assert said["reached"] == {
        "keys": 1, "contents": 2, "entries": 1, "dead_letters": 0, "dead_letters_named": [],
    }  # fmt: skip
    after = open_key_store(key_store, trail.dsn)
    assert after.key(backup[0].key_id) is None
    assert after.key_ids("ada", None) == []
    for row in backup:  # as a backup of the table would bring it back
        with pytest.raises(ContentUnreadableError):
            reveal(row, bobs, private)
    assert "a secret question" in str(reveal(others[0], bobs, private))
    after.close()
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_content") == [(2,)]


def test_hashes_and_what_points_to_the_person_go_and_the_rest_stays(trail: Database, key_store: str) -> None:
    ada, bob = one_of("ada", tenant="corp"), one_of("bob")
    store_entries(trail.dsn, ada, bob)
    said = erased(trail.dsn, key_store, "--user", "ada")
    assert rows(trail.dsn, "1", "ada") == []
    gone = ", ".join([*(name for name in HASHES if name != "content_mode"), *POINTERS])
    (row,) = rows(trail.dsn, gone, said["pseudonym"])
    assert set(row) == {None}
    kept = "request_id::text, model, status, cost_usd, input_tokens, tenant, content_mode"
    assert rows(trail.dsn, kept, said["pseudonym"]) == [
        (ada.request_id, ada.model, "success", ada.cost_usd, 12, "corp", "encrypted")
    ]
    assert rows(trail.dsn, "input_hash", "bob") == [("b" * 64,)]


def test_metadata_may_be_kept_and_hashes_go_all_the_same(trail: Database, key_store: str) -> None:
    store_entries(trail.dsn, one_of("ada"))
    said = erased(trail.dsn, key_store, "--user", "ada", "--metadata", "keep")
    assert said["pseudonym"] is None
    assert rows(trail.dsn, "session_id, input_hash, output_hash, system_prompt_hash", "ada") == [
        ("session-ada", None, None, None)
    ]


def test_one_tenants_user_is_erased_alone(trail: Database, key_store: str) -> None:
    with_content(trail.dsn, key_store, one_of("ada", tenant="corp"))
    with_content(trail.dsn, key_store, one_of("ada", tenant="club"))
    said = erased(trail.dsn, key_store, "--user", "ada", "--tenant", "corp")
    assert (said["reached"]["keys"], said["reached"]["contents"], said["reached"]["entries"]) == (1, 2, 1)
    assert rows(trail.dsn, "tenant", "ada") == [("club",)]
    keys = open_key_store(key_store, trail.dsn)
    assert len(keys.key_ids("ada", None)) == 1
    keys.close()


def test_content_that_comes_late_gets_no_key_and_what_comes_later_does(
    trail: Database, key_store: str
) -> None:
    early = one_of("ada")
    erased(trail.dsn, key_store, "--user", "ada")
    assert with_content(trail.dsn, key_store, early) == []
    at = datetime.now(UTC) + timedelta(seconds=1)
    later = one_of("ada", timestamp=at, request_id=request_id_at(at))
    assert len(with_content(trail.dsn, key_store, later)) == 2
    again = erased(trail.dsn, key_store, "--user", "ada")  # the late entry is reached by running it again
    assert again["reached"]["entries"] == 2


def test_a_dry_run_says_as_much_and_changes_nothing(trail: Database, key_store: str) -> None:
    with_content(trail.dsn, key_store, one_of("ada"))
    result = erase(trail.dsn, key_store, "--user", "ada", "--dry-run", "--json")
    assert json.loads(result.stdout)["reached"]["entries"] == 1
    assert json.loads(result.stdout)["erased"] is False
    assert rows(trail.dsn, "input_hash", "ada") == [("b" * 64,)]
    keys = open_key_store(key_store, trail.dsn)
    assert len(keys.key_ids("ada", None)) == 1
    keys.close()
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_erasure") == [(0,)]


def test_what_is_not_reached_is_said_with_its_time(trail: Database, key_store: str) -> None:
    said = erased(
        trail.dsn, key_store, "--user", "ada", "--topic-retention-days", "3", "--key-backup-days", "5"
    )
    until = {each["what"]: each["until"] for each in said["remains"]}
    today = datetime.now(UTC)
    for what, days in (
        ("topic llm-audit-entries", 3),
        ("topic llm-audit-content", 3),
        ("backups and write-ahead log of the key store", 5),
    ):
        assert abs(datetime.fromisoformat(until[what]) - today - timedelta(days=days)) < timedelta(minutes=5)
    assert any("SPOOL" in what for what in until)
    assert any("FileAuditStorage" in what for what in until)
    table = erase(trail.dsn, key_store, "--user", "ada", "--reason", "again", "--yes").stdout
    assert "llm-audit-content" in table


def test_who_when_why_and_how_many_are_recorded_without_the_name(trail: Database, key_store: str) -> None:
    with_content(trail.dsn, key_store, one_of("ada lovelace"))
    erased(trail.dsn, key_store, "--user", "ada lovelace")
    tables = Tables(trail.dsn)
    ((record, finished),) = tables.query("SELECT to_jsonb(e)::text, finished_at FROM llm_audit_erasure AS e")
    facts = json.loads(record)
    assert finished is not None
    assert (facts["operator"], facts["reason"], facts["metadata"]) == ("grace", "request 12", "pseudonymise")
    assert (facts["keys"], facts["contents"], facts["entries"]) == (1, 2, 1)
    assert "lovelace" not in record
    for attempt in ("DELETE FROM llm_audit_erasure", "UPDATE llm_audit_erasure SET reason = 'other'"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            tables.query(attempt)


@pytest.mark.parametrize("scope", [["--user", "ada"], ["--everything"], ["--tenant", "corp"], ["--from-id"]])
def test_a_legal_hold_forbids_it_and_nothing_is_touched(
    trail: Database, key_store: str, scope: list[str]
) -> None:
    entry = one_of("ada", tenant="corp")
    with_content(trail.dsn, key_store, entry)
    named = [*scope, entry.request_id] if scope == ["--from-id"] else scope
    placed = CliRunner().invoke(cli, ["hold", "add", "--dsn", trail.dsn, "--reason", "case 4711", *named])
    assert placed.exception is None, placed.output
    for how in (["--dry-run"], ["--yes", "--reason", "request 12"]):
        refused = erase(trail.dsn, key_store, "--user", "ada", *how)
        assert isinstance(refused.exception, LegalHoldError)
        assert "case 4711" in str(refused.exception)
    assert rows(trail.dsn, "input_hash", "ada") == [("b" * 64,)]
    keys = open_key_store(key_store, trail.dsn)
    assert len(keys.key_ids("ada", None)) == 1
    keys.close()


def test_another_ones_hold_forbids_nothing(trail: Database, key_store: str) -> None:
    with_content(trail.dsn, key_store, one_of("ada"))
    CliRunner().invoke(cli, ["hold", "add", "--dsn", trail.dsn, "--reason", "case 1", "--user", "bob"])
    assert erased(trail.dsn, key_store, "--user", "ada")["reached"]["keys"] == 1


def test_dead_letters_of_the_user_go_and_unreadable_ones_are_named(trail: Database, key_store: str) -> None:
    codec = EntryCodec()
    tables = Tables(trail.dsn)
    values = [codec.encode(one_of("ada")), codec.encode(one_of("ada, the other")), b"broken \x00 of ada"]
    for offset, value in enumerate(values):
        tables.query(
            'INSERT INTO llm_audit_dead_letter (topic_id, partition, "offset", topic, consumer_group, reason, '
            "detail, message_timestamp, value) VALUES (%s, 0, %s, 'entries', 'g', 'bad_body', 'd', now(), %s)",
            str(uuid4()) if offset == 2 else "t",
            offset,
            value,
        )
    said = erased(trail.dsn, key_store, "--user", "ada")["reached"]
    assert (said["dead_letters"], said["dead_letters_named"]) == (1, [["entries", 0, 2]])
    assert tables.query("SELECT count(*) FROM llm_audit_dead_letter") == [(2,)]


def test_many_entries_go_in_pages_and_a_broken_off_run_is_finished_by_the_next(
    trail: Database, key_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llm_audit_consumer.content import erasing

    store_entries(trail.dsn, *(one_of("ada") for _ in range(25)))
    monkeypatch.setattr(erasing.Eraser.__init__, "__defaults__", (10,))
    stopped: list[dict[str, int]] = []

    def stop_once(eraser: erasing.Eraser, erasure: dict[str, str], **counts: int) -> None:
        record(eraser, erasure, **counts)
        if counts.get("entries") and not stopped:
            stopped.append(counts)
            raise KeyboardInterrupt

    record = erasing.Eraser._record
    monkeypatch.setattr(erasing.Eraser, "_record", stop_once)
    broken = erase(trail.dsn, key_store, "--user", "ada", "--reason", "request", "--yes")
    assert broken.exit_code != 0
    assert len(rows(trail.dsn, "1", "ada")) == 25  # the page rolled back with its record
    assert erased(trail.dsn, key_store, "--user", "ada")["reached"]["entries"] == 25
    assert rows(trail.dsn, "1", "ada") == []


def test_retention_alone_may_erase(trail: Database, key_store: str, new_login: Logins) -> None:
    store_entries(trail.dsn, one_of("ada"))
    for role in ("llm_audit_writer", "llm_audit_auditor", "llm_audit_content_reader"):
        result = erase(new_login(trail.dsn, role), key_store, "--user", "ada", "--reason", "why", "--yes")
        assert isinstance(result.exception, ConfigurationError)
    assert len(rows(trail.dsn, "1", "ada")) == 1
    login = new_login(trail.dsn, "llm_audit_retention")
    assert erased(login, key_store, "--user", "ada")["reached"]["entries"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--user", "ada"], "--dry-run or --yes"),
        (["--user", "ada", "--yes"], "why"),
        (["--user", "unattributed", "--dry-run"], "is nobody"),
        (["--user", "", "--dry-run"], "is nobody"),
    ],
)
def test_what_is_not_said_is_asked_for(
    trail: Database, tmp_path: Any, arguments: list[str], words: str
) -> None:
    result = erase(trail.dsn, f"file:{tmp_path / 'keys'}", *arguments)
    assert isinstance(result.exception, ConfigurationError)
    assert words in f"{result.exception} {result.exception.hint}"


def test_a_deleted_key_is_no_longer_in_the_tables_of_its_database() -> None:
    with EmbeddedPostgres(ephemeral=True) as postgres:
        keys = open_key_store(postgres.dsn, "")
        at = datetime.now(UTC)
        key = keys.keys_for({Subject("ada", None): at})[Subject("ada", None)].key
        other = keys.keys_for({Subject("bob", None): at})[Subject("bob", None)].key
        assert key is not None
        assert other is not None

        def in_tables(wanted: bytes) -> bool:
            connection = psycopg2.connect(postgres.dsn)
            connection.autocommit = True
            connection.cursor().execute("CHECKPOINT")
            connection.close()
            files = (postgres.files.data / "base").rglob("*")
            return any(wanted in path.read_bytes() for path in files if path.is_file())

        assert in_tables(key.key)
        keys.erase("ada", None, at)
        keys.scrub()
        assert not in_tables(key.key)
        assert in_tables(other.key)
        keys.close()
