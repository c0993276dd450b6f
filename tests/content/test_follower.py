"""Content from the producer's call to its row, on a real Kafka and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.wrapping import StoredContent, reveal
from llm_audit_consumer.errors import ContentUnreadableError
from llm_audit_schemas import AuditEntry, request_id_at
from llm_audit_schemas.content import ContentKey
from tests.consumer.entries import new_entry, send
from tests.consumer.tables import Tables
from tests.content.trail import (
    PRIVATE_KEY,
    PUBLIC_KEY,
    follow_until,
    following,
    forms_of,
    publish,
    wait_until,
)
from tests.parts.databases import Database
from tests.parts.servers import KafkaUnderTest
from tests.roles.logins import Logins

COLUMNS = (
    "request_id::text, key_id::text, part, retention_class, sealing, compression, canonical_form, plain_bytes, "
    "truncated, recipient_key_id, wrapped"
)


def rows_of(dsn: str) -> dict[tuple[str, str], StoredContent]:
    found = Tables(dsn).query(f"SELECT {COLUMNS} FROM llm_audit_content")
    names = [each.split("::")[0].strip() for each in COLUMNS.split(",")]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return {
        (row["request_id"], row["part"]): StoredContent(
            **{**row, "wrapped": row["wrapped"] and bytes(row["wrapped"])}
        )
        for row in rows
    }


def opened(dsn: str, key_store: str, private_key: ContentKey = PRIVATE_KEY) -> dict[tuple[str, str], Any]:
    keys = open_key_store(key_store, dsn)
    try:
        result = {}
        for name, row in rows_of(dsn).items():
            key = keys.key(row.key_id)
            assert key is not None
            result[name] = reveal(row, key, {private_key.key_id: private_key})
        return result
    finally:
        keys.close()


def entries(count: int, **changes: Any) -> list[AuditEntry]:
    return [new_entry(content_mode="encrypted", **changes) for _ in range(count)]


def test_content_comes_back_as_it_was_said_with_both_keys(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    one, two = entries(2, user_id="ada")[0], entries(1, user_id="bob", tenant="corp")[0]
    publish(
        kafka_broker.bootstrap_servers,
        topic,
        [(one, forms_of("what is it?", "a trail", "be terse")), (two, forms_of("x" * 100_000, "\U0001f600"))],
    )
    follow_until(4, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    content = opened(trail.dsn, key_store)
    text = {"type": "text", "text": "what is it?"}
    assert content[one.request_id, "input"] == {
        "messages": [{"role": "user", "content": [text]}],
        "system": [{"type": "text", "text": "be terse"}],
    }
    assert content[one.request_id, "output"] == [{"type": "text", "text": "a trail"}]
    assert content[two.request_id, "input"]["messages"][0]["content"][0]["text"] == "x" * 100_000
    assert content[two.request_id, "output"] == [{"type": "text", "text": "\U0001f600"}]
    keys = {name[0]: row.key_id for name, row in rows_of(trail.dsn).items()}
    assert keys[one.request_id] != keys[two.request_id]


def test_what_is_too_large_is_cut_and_says_so(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    entry = new_entry()
    publish(
        kafka_broker.bootstrap_servers, topic, [(entry, forms_of("q" * 5000, "short"))], content_bytes=1000
    )
    follow_until(2, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    rows = rows_of(trail.dsn)
    assert rows[entry.request_id, "input"].truncated
    assert rows[entry.request_id, "input"].plain_bytes > 5000
    assert not rows[entry.request_id, "output"].truncated
    (message,) = opened(trail.dsn, key_store)[entry.request_id, "input"]["messages"]
    said = message["content"][0]["text"]
    assert said.startswith("qqq")
    assert said.endswith("[cut here]")
    assert len(said) < 1000


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_a_moved_altered_or_wrongly_keyed_row_does_not_open(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    one, two = entries(2, user_id="ada")
    publish(
        kafka_broker.bootstrap_servers,
        topic,
        [(one, forms_of("question one", "answer")), (two, forms_of("question two", "answer"))],
    )
    follow_until(4, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    rows = rows_of(trail.dsn)
    row, other = rows[one.request_id, "input"], rows[two.request_id, "input"]
    store = open_key_store(key_store, trail.dsn)
    key = store.key(row.key_id)
    store.close()
    assert key is not None
    private = {PRIVATE_KEY.key_id: PRIVATE_KEY}
    assert "question one" in str(reveal(row, key, private))
    values = {name: getattr(row, name) for name in StoredContent.__slots__}
    for change in (
        {"wrapped": other.wrapped},
        {"request_id": other.request_id},
        {"part": "output"},
        {"plain_bytes": row.plain_bytes + 1},
        {"truncated": True},
    ):
        with pytest.raises(ContentUnreadableError):
            reveal(StoredContent(**{**values, **change}), key, private)
    with pytest.raises(ContentUnreadableError, match="its private key was not given"):
        reveal(row, key, {})
    with pytest.raises(ContentUnreadableError, match="does not open with the private key"):
        reveal(row, key, {PUBLIC_KEY.key_id: PUBLIC_KEY})


def test_each_part_is_stored_once_and_a_second_follower_goes_on_where_the_first_stood(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    made = entries(3)
    contents = [(entry, forms_of(f"question {at}", "answer")) for at, entry in enumerate(made)]
    publish(kafka_broker.bootstrap_servers, topic, contents)
    follow_until(6, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    publish(kafka_broker.bootstrap_servers, topic, contents[:1])  # delivered twice
    second = follow_until(2, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    assert second.handled == 2
    assert len(rows_of(trail.dsn)) == 6
    assert sum(Tables(trail.dsn).offsets().values()) == 8


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_content_under_hipaa_and_what_cannot_be_read_leave_no_body_anywhere(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    patient, other = new_entry(retention_class="hipaa"), new_entry()
    publish(kafka_broker.bootstrap_servers, topic, [(patient, forms_of("a diagnosis", "advice"))])
    publish(kafka_broker.bootstrap_servers, topic, [(other, forms_of("plain", "plain"))])
    send(kafka_broker.bootstrap_servers, topic, [(0, b"\x00planted-in-the-body", None)])
    running = follow_until(5, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    assert running.count("llm_audit_content_dropped_total", reason="refused") == 2
    assert {request_id for request_id, _ in rows_of(trail.dsn)} == {other.request_id}
    assert Tables(trail.dsn).query("SELECT value, count(*) FROM llm_audit_dead_letter GROUP BY 1") == [
        (None, 1)
    ]


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_while_the_database_is_away_content_waits_on_its_topic(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    tables = Tables(trail.dsn)
    with following(kafka_broker.bootstrap_servers, topic, trail.dsn, key_store) as running:
        tables.query("ALTER TABLE llm_audit_content RENAME TO away")
        entry = new_entry()
        publish(kafka_broker.bootstrap_servers, topic, [(entry, forms_of("one", "two"))])
        wait_until(lambda: running.count("llm_audit_consumer_errors_total", kind="content") > 0)
        tables.query("ALTER TABLE away RENAME TO llm_audit_content")
        wait_until(lambda: running.handled >= 2)
    assert len(rows_of(trail.dsn)) == 2


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_the_consumers_own_role_is_enough(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str, new_login: Logins
) -> None:
    entry = new_entry()
    publish(kafka_broker.bootstrap_servers, topic, [(entry, forms_of("one", "two"))])
    writer = new_login(trail.dsn, "llm_audit_writer")
    follow_until(2, kafka_broker.bootstrap_servers, topic, writer, key_store)
    assert len(rows_of(trail.dsn)) == 2


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_content_of_any_time_finds_a_place(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    for moment in (datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)):
        entry = new_entry(timestamp=moment, request_id=request_id_at(moment))
        publish(kafka_broker.bootstrap_servers, topic, [(entry, forms_of("one", "two"))])
    follow_until(4, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    tables = Tables(trail.dsn)
    where = "SELECT tableoid::regclass::text, count(*) FROM llm_audit_content GROUP BY 1 ORDER BY 1"
    assert tables.query(where) == [("llm_audit_content_after", 2), ("llm_audit_content_before", 2)]
    tables.query("SELECT llm_audit_create_content_partitions('2030-01-01')")
    assert tables.query(where) == [("llm_audit_content_after", 2), ("llm_audit_content_before", 2)]


@pytest.mark.parametrize("key_store", ["file"], indirect=True)
def test_content_that_waits_for_its_month_moves_there(
    kafka_broker: KafkaUnderTest, topic: str, trail: Database, key_store: str
) -> None:
    ahead = datetime.now(UTC) + timedelta(days=400)
    entry = new_entry(timestamp=ahead, request_id=request_id_at(ahead))
    publish(kafka_broker.bootstrap_servers, topic, [(entry, forms_of("one", "two"))])
    follow_until(2, kafka_broker.bootstrap_servers, topic, trail.dsn, key_store)
    tables = Tables(trail.dsn)
    assert tables.query("SELECT count(*) FROM llm_audit_content_after") == [(2,)]
    tables.query("SELECT llm_audit_create_content_partitions(%s)", ahead.date())
    assert tables.query("SELECT count(*) FROM llm_audit_content_after") == [(0,)]
    assert len(opened(trail.dsn, key_store)) == 2
    assert tables.query(f"SELECT count(*) FROM llm_audit_content_{ahead:%Y_%m}") == [(2,)]
