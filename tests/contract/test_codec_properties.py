"""For any entry and any bytes: what goes in comes out, and nothing else is ever read."""

from __future__ import annotations

import decimal
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_audit_schemas import (
    AuditEntry,
    EntryCodec,
    InvalidEntryError,
    MarkerCodec,
    ProducerMarker,
    UndecodableMessageError,
    new_producer_id,
    request_id_at,
    request_id_time,
    schema_files,
    wire,
)
from llm_audit_schemas.text import NUL_MARK, SURROGATE_MARK
from tests.contract.examples import example
from tests.contract.strategies import ANY_TEXT, TIMES, entries

CODEC = EntryCodec()
ENTRY = AuditEntry.from_json(example(schema_files.ENTRY, "cached_and_thinking"))
MESSAGE = CODEC.encode(ENTRY)


@given(entries())
def test_any_entry_round_trips(entry: AuditEntry) -> None:
    assert CODEC.decode(CODEC.encode(entry)) == entry
    assert AuditEntry.from_json(json.loads(json.dumps(entry.as_json()))) == entry


@given(st.binary(max_size=400))
def test_garbage_is_only_ever_undecodable(body: bytes) -> None:
    for message in (body, wire.frame(wire.FIXED_IDS[schema_files.ENTRY], body)):
        with pytest.raises(UndecodableMessageError):
            CODEC.decode(message)


@given(st.integers(0, len(MESSAGE) - 1), st.integers(0, 255))
def test_a_damaged_message_is_an_entry_or_undecodable(position: int, byte: int) -> None:
    damaged = MESSAGE[:position] + bytes([byte]) + MESSAGE[position + 1 :]
    try:
        read: object = CODEC.decode(damaged)
    except UndecodableMessageError as error:
        read = error
    assert isinstance(read, AuditEntry | UndecodableMessageError)


def test_every_truncation_and_every_extension_is_undecodable() -> None:
    for length in range(len(MESSAGE)):
        with pytest.raises(UndecodableMessageError):
            CODEC.decode(MESSAGE[:length])
    for tail in (b"\x00", MESSAGE):
        with pytest.raises(UndecodableMessageError) as caught:
            CODEC.decode(MESSAGE + tail)
        assert caught.value.reason == "trailing_bytes"
    with pytest.raises(UndecodableMessageError) as caught:
        CODEC.decode(None)
    assert caught.value.reason == "empty"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[]", "1", "", "{", '{"a": ' + "9" * 5_000 + "}"]
)
def test_json_text_that_is_no_object_is_undecodable(text: str) -> None:
    record = {**_record(), "metadata": text}
    with pytest.raises(UndecodableMessageError) as caught:
        CODEC.decode(CODEC.encode_record(record))
    assert caught.value.reason == "invalid_entry"


def _record() -> dict[str, Any]:
    return CODEC.decode_record(MESSAGE)


@given(ANY_TEXT)
def test_text_arrives_without_nul_and_surrogates_wherever_it_stands(text: str) -> None:
    entry = replace(
        ENTRY,
        user_id="u" + text,
        tool_names=(text,),
        metadata={"k" + text: text, "deep": [{"a": [text]}]},
        details={"raw": text},
    )
    read = CODEC.decode(CODEC.encode(entry))
    expected = "".join(
        NUL_MARK if character == "\0" else SURROGATE_MARK if "\ud800" <= character <= "\udfff" else character
        for character in text
    )
    assert read.user_id == "u" + expected
    assert read.tool_names == (expected,)
    assert read.metadata == {"k" + expected: expected, "deep": [{"a": [expected]}]}
    assert read.details == {"raw": expected}
    sent = CODEC.decode_record(CODEC.encode(entry))["metadata"]
    assert "\\u0000" not in sent.replace("\\\\", "")


class Named(str):
    """Text that is not quite a string."""

    __slots__ = ()


def test_metadata_that_is_no_json_is_made_plain() -> None:
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    metadata: dict[str, Any] = {
        "huge": 10**5_000,
        "nan": float("nan"),
        "set": {1},
        "money": Decimal("1.50"),
        "me": cyclic,
    }
    read = CODEC.decode(CODEC.encode(replace(ENTRY, metadata=metadata))).metadata
    assert read is not None
    assert {name: read[name] for name in ("huge", "nan", "set", "money")} == {
        "huge": "<int of 16610 bits>",
        "nan": "nan",
        "set": [1],
        "money": "1.50",
    }
    proxy = CODEC.decode(CODEC.encode(replace(ENTRY, metadata=MappingProxyType({"a": 1}))))
    assert proxy.metadata == {"a": 1}
    assert (
        CODEC.decode(CODEC.encode(replace(ENTRY, user_id=Named("a\ud800")))).user_id == f"a{SURROGATE_MARK}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"request_id": "nope"}, "request_id 'nope' is not a UUID"),
        ({"request_id": ENTRY.request_id.upper()}, "lower case"),
        ({"producer_id": "p1"}, "producer_id 'p1' is not a UUID"),
        ({"request_id": None}, "does not fit"),
        ({"attempts": 2**31}, "attempts is 2147483648"),
        ({"attempts": None}, "attempts is None"),
        ({"sanitization_count": -(2**31) - 1}, "sanitization_count is"),
        ({"http_status": 2**31}, "does not fit"),
        ({"sequence": 2**63}, "does not fit"),
        ({"sequence": "1"}, "does not fit"),
        ({"user_id": 5}, "does not fit"),
        ({"input_tokens": 1.5}, "does not fit"),
        ({"entry_mac": "text"}, "does not fit"),
        ({"cost_usd": Decimal("NaN")}, "not a number"),
        ({"cost_usd": Decimal("Infinity")}, "more than 24 digits"),
        ({"cost_usd": Decimal(10**12)}, "more than 24 digits"),
        ({"metadata": [1]}, "metadata is a list; give a mapping"),
        ({"details": "text"}, "details is a str; give a mapping"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEntryError, match=message):
        CODEC.encode(replace(ENTRY, **change))


def test_the_cost_is_exact_whatever_the_threads_decimal_context_is() -> None:
    cost = Decimal("123456789012.123456789012")
    with decimal.localcontext() as context:
        context.prec = 3
        context.traps[decimal.InvalidOperation] = False
        message = CODEC.encode(replace(ENTRY, cost_usd=cost))
        assert CODEC.decode(message).cost_usd == cost
        with pytest.raises(InvalidEntryError):
            CODEC.encode(replace(ENTRY, cost_usd=Decimal(10**12)))


@given(ANY_TEXT)
def test_a_marker_carries_any_text(text: str) -> None:
    marker = ProducerMarker(
        producer_id=new_producer_id(),
        kind="heartbeat",
        timestamp=datetime(2026, 11, 1, tzinfo=UTC),
        last_sequence=3,
        delivery_mode="memory",
        library_version="0.1.0",
        host=text,
        details={"a": text},
    )
    read = MarkerCodec().decode(MarkerCodec().encode(marker))
    assert read.host is not None
    assert read.details == {"a": read.host}
    assert len(read.host) == len(text)


@given(TIMES, st.binary(min_size=10, max_size=10))
def test_a_request_id_carries_its_time_to_the_millisecond(time: datetime, random: bytes) -> None:
    request_id = request_id_at(time, random)
    assert request_id_time(request_id) == time.replace(microsecond=time.microsecond // 1_000 * 1_000)


@given(TIMES, TIMES, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_request_ids_sort_by_time(one: datetime, two: datetime, random: bytes, other: bytes) -> None:
    early, late = request_id_time(request_id_at(one)), request_id_time(request_id_at(two))
    if early != late:
        assert (request_id_at(one, random) < request_id_at(two, other)) == (early < late)


@given(st.uuids())
def test_any_uuid_has_a_time_or_is_refused(identifier: Any) -> None:
    try:
        request_id_time(identifier)
    except ValueError:
        return
    assert identifier.version == 7


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="after the year 9999"):
        request_id_time("ffffffff-ffff-7fff-bfff-ffffffffffff")
