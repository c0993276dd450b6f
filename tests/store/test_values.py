"""Every value that an entry may hold comes back from the table as it was."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_audit_consumer.batch import Written
from llm_audit_consumer.errors import UnstorableRowError
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.copy_text import copy_text
from llm_audit_schemas import AuditEntry
from llm_audit_schemas.codec import Record
from llm_audit_schemas.entry import FIELD_NAMES
from tests.parts.databases import Database
from tests.store.rows import CODEC, GROUP, batch, count, entry, fetch, row_of

HOSTILE = "tab\tline\nreturn\r backslash\\ \\N \\. quote\" ' {a,b} , \u00fc\U0001f6b2\u2028 \x01"


def test_every_column_keeps_its_value(store: AuditStore, database: Database) -> None:
    text: dict[str, Any] = {
        name: f"{name} {HOSTILE}"
        for name, kind in AuditEntry.__annotations__.items()
        if kind == "str | None" and not name.endswith("_id")
    }
    full = entry(
        **text,
        user_id=HOSTILE,
        tool_names=("", HOSTILE, "NULL", 'a"b', "{}"),
        input_tokens=2**62,
        output_tokens=0,
        cost_usd=Decimal("123456789012.123456789012"),
        http_status=2**31 - 1,
        latency_ms=7,
        canonical_form=1,
        metadata={"key": HOSTILE, "nested": [1, 2.5, None, {"a": True}]},
        details={},
        prev_digest=b"\x00\\\xff",
        entry_mac=b"",
        digest_salts={"a": "b"},
        streamed=True,
        truncated=True,
    )
    bare = entry()
    assert store.write(GROUP, batch([row_of(full), row_of(bare)], None, 2)) == Written(2, 0, 0)
    columns = ", ".join(f'"{name}"' for name in FIELD_NAMES)
    (stored,) = fetch(database.dsn, f"SELECT {columns} FROM llm_audit_log WHERE streamed")
    for name, value in zip(FIELD_NAMES, stored, strict=True):
        assert as_entry_has_it(value) == getattr(full, name), name
    (empty,) = fetch(database.dsn, f"SELECT {columns} FROM llm_audit_log WHERE NOT streamed")
    nothing = {name for name, value in zip(FIELD_NAMES, empty, strict=True) if value is None}
    assert nothing == {name for name in FIELD_NAMES if getattr(bare, name) is None}


def as_entry_has_it(value: object) -> object:
    if isinstance(value, memoryview):
        return bytes(value)
    return tuple(value) if isinstance(value, list) else value


COLUMNS = ", ".join(f'"{name}"' for name in FIELD_NAMES)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
COUNT = st.none() | st.integers(0, 2**62)
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(-(2**70), 2**70) | TEXT | st.lists(TEXT))
CHANGES = st.fixed_dictionaries(
    {
        "user_id": TEXT.filter(bool),
        "model": st.none() | TEXT,
        "stop_reason": st.none() | TEXT | st.sampled_from(["\\N", "\\.", "NULL", ""]),
        "tool_names": st.none() | st.lists(TEXT | st.sampled_from(["NULL", "{}", '"', "\\"]), max_size=4),
        "input_tokens": COUNT,
        "latency_ms": COUNT,
        "cost_usd": st.none() | st.decimals(0, Decimal(10) ** 11, allow_nan=False, places=12),
        "metadata": st.none() | JSON,
        "prev_digest": st.none() | st.binary(max_size=40),
        "timestamp": st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
        "streamed": st.booleans(),
    }
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, min_size=1, max_size=5))
def test_whatever_the_entries_hold_comes_back(
    changes: list[dict[str, Any]], store: AuditStore, database: Database
) -> None:
    entries = [entry(**{**each, "tool_names": as_tuple(each["tool_names"])}) for each in changes]
    stands_at = store.next_offsets(GROUP, "topic-id").get(0)
    rows = [row_of(each) for each in entries]
    assert store.write(GROUP, batch(rows, stands_at, (stands_at or 0) + 1)) == Written(len(rows), 0, 0)
    for one in entries:
        (stored,) = fetch(
            database.dsn, f"SELECT {COLUMNS} FROM llm_audit_log WHERE request_id = '{one.request_id}'"
        )
        for name, value in zip(FIELD_NAMES, stored, strict=True):
            assert as_entry_has_it(value) == getattr(one, name), name


def as_tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def test_created_at_is_the_databases_own_clock(store: AuditStore, database: Database) -> None:
    store.write(GROUP, batch([row_of(entry(datetime(2020, 1, 1, tzinfo=UTC)))], None, 1))
    ((age,),) = fetch(database.dsn, "SELECT extract(epoch FROM now() - created_at) FROM llm_audit_log")
    assert 0 <= age < 60


def test_a_long_text_is_kept_whole(store: AuditStore, database: Database) -> None:
    long = "\U0001f6b2\\\n" * 700_000  # over a COPY buffer many times, every character escaped or wide
    store.write(GROUP, batch([row_of(entry(error_message=long)), row_of(entry())], None, 2))
    assert fetch(database.dsn, "SELECT error_message FROM llm_audit_log WHERE error_message IS NOT NULL") == [
        (long,)
    ]


BAD_VALUES: dict[str, dict[str, Any]] = {
    "a cost too large": {"cost_usd": Decimal(10) ** 14},
    "a NUL in a text": {"error_message": "planted\x00secret"},
    "a NUL in a tool name": {"tool_names": ["planted\x00secret"]},
    "no JSON": {"metadata": '{"planted": secret}'},
    "JSON with a NUL": {"metadata": '{"planted": "\\u0000"}'},
    "JSON with half a surrogate pair": {"metadata": '{"planted": "\\ud800"}'},
    "JSON too deep": {"metadata": "[" * 100_000 + '"planted"' + "]" * 100_000},
    "an id that is none": {"request_id": "planted"},
    "a required value missing": {"user_id": None, "error_message": "planted"},
    "a count out of range": {"input_tokens": 2**63, "error_message": "planted"},
    # Beyond an index entry's 2,704 bytes, and not to be compressed below them.
    "a user too long for the index": {"user_id": "planted" + random.Random(7).randbytes(20_000).hex()},
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_value_that_postgres_refuses_is_no_error_that_passes(
    case: str, store: AuditStore, database: Database
) -> None:
    rows: list[Record] = [row_of(entry()), {**row_of(entry()), **BAD_VALUES[case]}]
    with pytest.raises(UnstorableRowError) as caught:
        store.write(GROUP, batch(rows, None, 2))
    assert "SQLSTATE" in str(caught.value)
    assert "planted" not in str(caught.value)
    assert count(database.dsn) == 0
    assert store.write(GROUP, batch(rows[:1], None, 1)) == Written(1, 0, 0)


def test_what_decodes_from_the_topic_is_what_the_copy_writes() -> None:
    row = row_of(entry(stop_reason="a\tb", streamed=True))
    assert CODEC.decode_record(CODEC.encode_record(row)) == row
    (line, rest) = copy_text([row]).read().split("\n")
    values = dict(zip(FIELD_NAMES, line.split("\t"), strict=True))
    assert (values["stop_reason"], values["streamed"], values["model"], rest) == ("a\\tb", "t", "\\N", "")
