"""One batch by the fast path and by the slow one: the same tables come of it, whatever bytes there are."""

from __future__ import annotations

import random
from typing import Any

import pytest

from llm_audit_consumer.batch import Message
from llm_audit_consumer.batch_decoding import BatchDecoder, DecodedMessages
from llm_audit_consumer.batch_writer import BatchWriter
from llm_audit_consumer.columnar.layout import ENTRY_COLUMNS
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.store import AuditStore, migrate
from tests.benchmarks.made_up_entries import made_up_messages
from tests.columnar.mutations import mutated
from tests.consumer.entries import CODEC, PARTITION, message_of, messages_of, new_record
from tests.parts.databases import Database, DatabaseMaker
from tests.store.rows import fetch

DECODER = BatchDecoder(Decoder(CODEC))
ODD_JSON = (
    '{"a": 1.10, "b": "\\u00e9"}',
    '{"a": NaN, "b": 1.10}',
    '{"a": "NaN", "b": 1.10}',
    r'{"a": "\u0000"}',
    r'{"a": "\\u0000", "b": 1.10}',
    r'{"a": "\ud800"}',
    '{"a": 1, "a": 2}',
    '{"a": 1e999999}',
    '{"a": 1} x',
    '{"a": \v1}',
    '{"a": 01}',
    '{"a": "\t"}',
    "{'a': 1}",
    '{"a": ' + "[" * 350 + "]" * 350 + "}",
    '{"a": ' + "[" * 2000 + "]" * 2000 + "}",
    '{"a": ' + "1" * 5000 + "}",
    "{",
    "{}",
)


def tables_after(database: Database, decoded: DecodedMessages) -> dict[str, list[tuple[Any, ...]]]:
    """Everything a batch leaves behind, but for the moment of writing."""
    migrate(database.dsn)
    store = AuditStore(database.dsn)
    writer = BatchWriter(store, "group")
    writer.take_over({PARTITION: None})
    writer.write(decoded)
    store.close()
    columns = ", ".join(f'"{column.name}"' for column in ENTRY_COLUMNS)
    return {
        "log": fetch(
            database.dsn, f"SELECT {columns} FROM (SELECT * FROM llm_audit_log) AS log ORDER BY request_id"
        ),
        "json": fetch(
            database.dsn, "SELECT metadata::text, details::text FROM llm_audit_log ORDER BY request_id"
        ),
        "dead": fetch(
            database.dsn,
            'SELECT "offset", reason, detail, value FROM llm_audit_dead_letter ORDER BY "offset"',
        ),
        "received": fetch(
            database.dsn, "SELECT producer_id, received::text FROM llm_audit_producer ORDER BY producer_id"
        ),
        "offsets": fetch(database.dsn, "SELECT partition, next_offset FROM llm_audit_offset"),
    }


def same_by_both(messages: list[Message], make_database: DatabaseMaker) -> DecodedMessages:
    fast, slow = DECODER.decode(messages), DECODER.decode_slowly(messages)
    found, wanted = tables_after(make_database(), fast), tables_after(make_database(), slow)
    for name, rows in wanted.items():
        assert readable(found[name]) == readable(rows), name
    return fast


def readable(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [tuple(bytes(each) if isinstance(each, memoryview) else each for each in row) for row in rows]


def test_what_services_write(make_database: DatabaseMaker) -> None:
    batch = [
        message_of(value, offset=offset, identity=identity)
        for offset, (_, value, identity) in enumerate(made_up_messages(1_000))
    ]
    assert len(same_by_both(batch, make_database).entries) == len(batch)


@pytest.mark.parametrize("seed", range(3))
def test_bytes_gone_wrong(seed: int, make_database: DatabaseMaker) -> None:
    chance = random.Random(seed)
    good = [value for _, value, _ in made_up_messages(30, seed=seed)]
    good += [CODEC.encode_record(new_record(prev_digest=bytes(range(32)), tool_names=["a", "b"]))]
    values = [mutated(chance, good) if chance.random() < 0.5 else chance.choice(good) for _ in range(200)]
    batch = [message_of(value, offset=offset) for offset, value in enumerate(values)]
    decoded = same_by_both(batch, make_database)
    assert 0 < len(decoded.entries) < len(batch), "one of the paths was not taken"


def test_odd_json(make_database: DatabaseMaker) -> None:
    """Some of it PostgreSQL alone finds, and the batch then goes the slow path."""
    batch = messages_of(
        [new_record(metadata=text, details=other) for text in ODD_JSON for other in ("{}", text)]
    )
    assert same_by_both(batch, make_database).entries


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xed\xa0\x80"])
def test_text_that_is_no_utf_8(bad: bytes, make_database: DatabaseMaker) -> None:
    batch = messages_of([new_record(user_id="ab" * len(bad)) for _ in range(5)])
    value = batch[2].value
    assert value is not None
    wrong = value.replace(b"ab" * len(bad), bad * 2)
    batch[2] = message_of(wrong, offset=2, identity=batch[2].identity)
    assert len(same_by_both(batch, make_database).entries) == 5, "PostgreSQL was not asked"


def test_no_column_has_a_default_of_its_own(database: Database) -> None:
    """The fast path leaves out columns that are null in all rows: a default would take the null's place."""
    migrate(database.dsn)
    found = fetch(
        database.dsn,
        "SELECT attname FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum "
        "WHERE adrelid = 'llm_audit_log'::regclass",
    )
    assert found == [("created_at",)]
