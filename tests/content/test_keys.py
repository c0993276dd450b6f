"""What a key store promises, held by both kinds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llm_audit_consumer.content.key_store import SAME_DATABASE, open_key_store
from llm_audit_consumer.content.keys import KeyStore, Subject, UserKey
from llm_audit_consumer.errors import ConfigurationError
from tests.parts.databases import Database

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ADA, ADA_AT_CORP, BOB = Subject("ada", None), Subject("ada", "corp"), Subject("bob", None)


@pytest.fixture
def keys(key_store: str) -> Iterator[KeyStore]:
    store = open_key_store(key_store, "")
    yield store
    store.close()


def key_of(keys: KeyStore, subject: Subject, called_at: datetime = NOW) -> UserKey | None:
    return keys.keys_for({subject: called_at})[subject].key_for(called_at)


def test_each_subject_has_one_key_that_stays(keys: KeyStore, key_store: str) -> None:
    made = {subject: key_of(keys, subject) for subject in (ADA, ADA_AT_CORP, BOB)}
    assert len({key.key for key in made.values() if key is not None}) == 3
    again = open_key_store(key_store, "")
    assert {subject: key_of(again, subject) for subject in made} == made
    for key in made.values():
        assert key is not None
        assert again.key(key.key_id) == key
    again.close()


def test_an_erased_user_gets_no_key_for_what_was_before_and_a_new_one_after(keys: KeyStore) -> None:
    old, bobs = key_of(keys, ADA), key_of(keys, BOB)
    assert old is not None
    assert keys.erase("ada", None, NOW) == [old.key_id]
    assert keys.key(old.key_id) is None
    assert key_of(keys, ADA, NOW - timedelta(days=3)) is None
    assert key_of(keys, ADA, NOW) is None
    new = key_of(keys, ADA, NOW + timedelta(seconds=1))
    assert new is not None
    assert new.key != old.key
    assert key_of(keys, ADA, NOW) is None  # though there is a key again
    assert key_of(keys, BOB) == bobs


def test_a_batch_with_calls_from_before_and_after_keeps_only_those_after(keys: KeyStore) -> None:
    keys.erase("ada", None, NOW)
    found = keys.keys_for({ADA: NOW + timedelta(hours=1), BOB: NOW})[ADA]
    assert found.key_for(NOW - timedelta(hours=1)) is None
    assert found.key_for(NOW + timedelta(hours=1)) is not None


def test_one_tenant_is_erased_alone_or_all_at_once(keys: KeyStore) -> None:
    plain, corps = key_of(keys, ADA), key_of(keys, ADA_AT_CORP)
    assert plain is not None
    assert corps is not None
    assert keys.key_ids("ada", "corp") == [corps.key_id]
    assert keys.erase("ada", "corp", NOW) == [corps.key_id]
    assert key_of(keys, ADA) == plain
    assert key_of(keys, ADA_AT_CORP) is None
    assert keys.erase("ada", None, NOW) == [plain.key_id]
    assert key_of(keys, ADA) is None


def test_keys_asked_for_at_once_are_the_same_and_none_outlives_an_erasure(key_store: str) -> None:
    stores = [open_key_store(key_store, "") for _ in range(4)]
    users = [Subject(f"user {number}", None) for number in range(40)]
    got: list[dict[Subject, UserKey | None]] = [{} for _ in stores]
    barrier = threading.Barrier(len(stores) + 1)

    def ask(store: KeyStore, answers: dict[Subject, UserKey | None]) -> None:
        barrier.wait()
        for user in users:
            answers[user] = key_of(store, user)

    threads = [threading.Thread(target=ask, args=pair) for pair in zip(stores, got, strict=True)]
    for thread in threads:
        thread.start()
    eraser = open_key_store(key_store, "")
    barrier.wait()
    for user in users:
        eraser.erase(user.user_id, None, NOW)
    for thread in threads:
        thread.join(30)
    for user in users:
        assert len({answers[user] for answers in got} - {None}) <= 1
        assert eraser.key_ids(user.user_id, None) == []  # whoever was first
    for store in [*stores, eraser]:
        store.close()


def test_the_store_does_not_say_who_is_in_it(keys: KeyStore, key_store: str) -> None:
    key_of(keys, Subject("ada@example.com", "example corp"))
    keys.erase("bob@example.com", "example corp", NOW)
    keys.close()
    if key_store.startswith("file:"):
        data = Path(key_store.removeprefix("file:")).read_bytes()
        assert b"llm_audit_user_key" in data
        assert b"example" not in data


def test_a_deleted_key_is_no_longer_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keys = open_key_store(f"file:{path}", "")
    key = key_of(keys, ADA)
    assert key is not None
    assert key.key in path.read_bytes()
    keys.erase("ada", None, NOW)
    assert all(key.key not in each.read_bytes() for each in tmp_path.iterdir())
    keys.close()


def test_pseudonyms_are_stable_and_tell_nothing(keys: KeyStore, tmp_path: Path) -> None:
    one = keys.pseudonym("ada", None)
    assert one == keys.pseudonym("ada", None)
    assert one.startswith("erased-")
    assert len({one, keys.pseudonym("bob", None), keys.pseudonym("ada", "corp")}) == 3
    other = open_key_store(f"file:{tmp_path / 'other'}", "")
    assert other.pseudonym("ada", None) != one
    other.close()


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.touch(mode=0o644)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others than its owner") as refused:
        open_key_store(f"file:{path}", "")
    assert "chmod 600" in refused.value.hint


def test_keys_beside_the_content_are_said_loudly(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (SAME_DATABASE, database.dsn):
        open_key_store(target, database.dsn).close()
        assert "For development only" in capsys.readouterr().out
