"""`llm-audit show`, `hash` and `content`, as their users call them."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from llm_audit_consumer.cli.group import cli
from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.errors import ConfigurationError, ContentUnreadableError, NothingFoundError
from llm_audit_schemas import AuditEntry, HashKey, content_hash
from llm_audit_schemas.content import ContentKey
from llm_audit_schemas.errors import InvalidContentKeyError
from tests.consumer.entries import new_entry
from tests.consumer.tables import Tables
from tests.content.stored import store_content, store_entries
from tests.content.trail import PRIVATE_KEY, PUBLIC_KEY, forms_of
from tests.parts.databases import Database
from tests.roles.logins import Logins

OLD, NEW = HashKey("old", b"1" * 32), HashKey("new", b"2" * 32)


def run(*arguments: str, text: str | None = None, **environment: str) -> Result:
    return CliRunner().invoke(cli, arguments, input=text, env={"COLUMNS": "300", **environment})


@pytest.fixture
def keys(tmp_path: Path) -> str:
    return f"file:{tmp_path / 'keys.sqlite'}"


@pytest.fixture
def private_key(tmp_path: Path) -> str:
    path = tmp_path / "test-2026.private"
    path.write_text(PRIVATE_KEY.text())
    return str(path)


@pytest.fixture
def entry(trail: Database, keys: str) -> AuditEntry:
    made = new_entry(content_mode="encrypted")
    store_entries(trail.dsn, made)
    store_content(trail.dsn, keys, made, forms_of("what is \x1b[31mit?", "a trail", "be terse"))
    return made


def test_show_tells_what_there_is_and_opens_nothing(trail: Database, entry: AuditEntry) -> None:
    said = json.loads(run("show", entry.request_id, "--dsn", trail.dsn, "--json").stdout)
    assert said["entry"]["model"] == entry.model
    assert [each["part"] for each in said["content"]] == ["input", "output"]
    assert "revealed" not in said
    shown = run("show", entry.request_id, "--dsn", trail.dsn)
    assert "a trail" not in shown.output
    assert "test-2026" in shown.output
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_content_access") == [(0,)]


def test_reveal_shows_content_harmlessly_and_leaves_a_record(
    trail: Database, entry: AuditEntry, keys: str, private_key: str, new_login: Logins
) -> None:
    reader = new_login(trail.dsn, "llm_audit_content_reader")
    asked = ["show", entry.request_id, "--dsn", reader, "--key-store", keys, "--private-key", private_key]
    asked += ["--reveal", "--reason", "case 4711", "--by", "grace"]
    shown = run(*asked)
    assert shown.exception is None, shown.exception
    assert "a trail" in shown.stdout
    assert "\x1b" not in shown.stdout
    revealed = json.loads(run(*asked, "--json").stdout)["revealed"]
    assert revealed["input"]["system"] == [{"type": "text", "text": "be terse"}]
    assert revealed["input"]["messages"][0]["content"][0]["text"] == "what is \x1b[31mit?"
    records = Tables(trail.dsn).query(
        "SELECT request_id::text, asked_by, reason FROM llm_audit_content_access"
    )
    assert records == [(entry.request_id, "grace", "case 4711")] * 2


def test_reveal_leaves_its_record_though_the_keys_do_not_fit(
    trail: Database, entry: AuditEntry, keys: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.private"
    wrong.write_text(PUBLIC_KEY.text())
    asked = (
        "show",
        entry.request_id,
        "--dsn",
        trail.dsn,
        "--reveal",
        "--reason",
        "case",
        "--key-store",
        keys,
    )
    result = run(*asked, "--private-key", str(wrong))
    assert isinstance(result.exception, ContentUnreadableError)
    assert Tables(trail.dsn).query("SELECT count(*) FROM llm_audit_content_access") == [(1,)]
    open_keys = open_key_store(keys, trail.dsn)
    open_keys.erase(entry.user_id, None, entry.timestamp)
    open_keys.close()
    erased = run(*asked, "--private-key", str(wrong))
    assert "is gone" in str(erased.exception)


def test_reveal_wants_a_key_a_store_a_reason_and_something_to_reveal(
    trail: Database, entry: AuditEntry, keys: str, private_key: str, new_login: Logins
) -> None:
    asked = ("show", entry.request_id, "--dsn", trail.dsn, "--reveal")
    for given, words in (
        (("--reason", "case", "--key-store", keys), "private key"),
        (("--reason", "case", "--private-key", private_key), "user's key"),
        (("--key-store", keys, "--private-key", private_key), "for a reason"),
    ):
        result = run(*asked, *given)
        assert isinstance(result.exception, ConfigurationError)
        assert words in str(result.exception)
    all_given = ("--reason", "case", "--key-store", keys, "--private-key", private_key)
    other = new_entry()
    store_entries(trail.dsn, other)
    nothing = run("show", other.request_id, "--dsn", trail.dsn, "--reveal", *all_given)
    assert isinstance(nothing.exception, NothingFoundError)
    missing = run("show", new_entry().request_id, "--dsn", trail.dsn)
    assert isinstance(missing.exception, NothingFoundError)
    auditor = new_login(trail.dsn, "llm_audit_auditor")
    assert run("show", entry.request_id, "--dsn", auditor).exception is None
    refused = run("show", entry.request_id, "--dsn", auditor, "--reveal", *all_given)
    assert isinstance(refused.exception, ConfigurationError)


def hashed(key: HashKey, system: str, question: str, answer: str) -> AuditEntry:
    return new_entry(
        content_mode="hash",
        hash_key_id=key.key_id,
        canonical_form=1,
        system_prompt_hash=content_hash(key, "system", system),
        input_hash=content_hash(key, "input", question),
        output_hash=content_hash(key, "output", answer),
    )


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    path = tmp_path / "hash-keys"
    lines = [f"{key.key_id}:{base64.b64encode(key.secret).decode()}" for key in (OLD, NEW)]
    path.write_text("# every key there ever was\n" + "\n".join(lines) + "\n")
    return str(path)


def test_hash_finds_a_text_under_every_key_and_in_every_place(trail: Database, key_file: str) -> None:
    one, two = hashed(OLD, "be terse", "what?", "a trail"), hashed(NEW, "what?", "why?", "a trail")
    store_entries(trail.dsn, one, two, hashed(NEW, "x", "y", "z"))

    def found(text: str, *more: str) -> set[tuple[str, str, str]]:
        result = run("hash", "--dsn", trail.dsn, "--keys", key_file, "--json", *more, text=text)
        rows: list[dict[str, Any]] = json.loads(result.stdout)
        return {(row["request_id"], row["kind"], row["hash_key_id"]) for row in rows}

    assert found("a trail") == {(one.request_id, "output", "old"), (two.request_id, "output", "new")}
    assert found("what?\n") == {(one.request_id, "input", "old"), (two.request_id, "system", "new")}
    assert found("what?", "--kind", "input") == {(one.request_id, "input", "old")}
    messages = json.dumps([{"role": "user", "content": [{"type": "text", "text": "why?"}]}])
    assert found(messages, "--structure") == {(two.request_id, "input", "new")}
    assert one.request_id in run("hash", "--dsn", trail.dsn, "--keys", key_file, text="what?").stdout


def test_hash_finding_nothing_is_an_exit_code_and_no_key_is_an_error(trail: Database, key_file: str) -> None:
    store_entries(trail.dsn, hashed(OLD, "s", "q", "a"))
    nothing = run("hash", "--dsn", trail.dsn, "--keys", key_file, text="never said")
    assert isinstance(nothing.exception, NothingFoundError)
    too_old = run(
        "hash",
        "--dsn",
        trail.dsn,
        "--keys",
        key_file,
        "--since",
        "2020-01-01",
        "--until",
        "2020-02-01",
        text="q",
    )
    assert isinstance(too_old.exception, NothingFoundError)
    keyless = run("hash", "--dsn", trail.dsn, text="q", LLM_AUDIT_HASH_KEYS="", LLM_AUDIT_HASH_KEY="")
    assert isinstance(keyless.exception, ConfigurationError)


def test_orphans_are_content_whose_entry_has_not_come(trail: Database, keys: str, entry: AuditEntry) -> None:
    def orphans(*more: str) -> list[tuple[str, str]]:
        result = run("content", "orphans", "--dsn", trail.dsn, "--json", *more)
        return [(row["request_id"], row["part"]) for row in json.loads(result.stdout)]

    lone = new_entry()
    store_content(trail.dsn, keys, lone, forms_of("question", "answer"))
    assert orphans("--grace-hours", "0") == [(lone.request_id, "input"), (lone.request_id, "output")]
    assert orphans("--grace-hours", "1") == []
    assert lone.request_id in run("content", "orphans", "--dsn", trail.dsn, "--grace-hours", "0").stdout
    store_entries(trail.dsn, lone)
    assert orphans("--grace-hours", "0") == []
    assert "has its entry" in run("content", "orphans", "--dsn", trail.dsn).stdout


def test_keygen_makes_a_pair_that_fits_and_overwrites_nothing(tmp_path: Path) -> None:
    from llm_audit_producer.content.sealing import Sealer

    made = json.loads(run("content", "keygen", "archive", "--directory", str(tmp_path), "--json").stdout)
    private, public = Path(made["private"]), Path(made["public"])
    assert private.stat().st_mode & 0o077 == 0
    sealed = Sealer(ContentKey.parse(public.read_text()), 1000).seal(new_entry(), "input", b"n;")
    assert sealed.recipient_key_id == ContentKey.parse(private.read_text()).key_id == "archive"
    before = private.read_text()
    again = run("content", "keygen", "archive", "--directory", str(tmp_path))
    assert isinstance(again.exception, ConfigurationError)
    assert private.read_text() == before
    assert private.read_text().split(":")[1] not in again.output
    bad = run("content", "keygen", "../archive", "--directory", str(tmp_path))
    assert isinstance(bad.exception, InvalidContentKeyError | ConfigurationError)


def test_prepare_keys_makes_the_store(trail: Database, tmp_path: Path) -> None:
    path = tmp_path / secrets.token_hex(4)
    assert "ready" in run("content", "prepare-keys", "--key-store", f"file:{path}").stdout
    assert path.exists()
    assert "ready" in run("content", "prepare-keys", "--key-store", trail.dsn).stdout
    assert isinstance(run("content", "prepare-keys").exception, ConfigurationError)
