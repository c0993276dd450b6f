"""Messages become rows that PostgreSQL takes, or dead letters with the reason."""

from __future__ import annotations

import json
import struct
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from llm_audit_consumer.batch import DeadLetter, Message
from llm_audit_consumer.batch_decoding import BatchDecoder
from llm_audit_consumer.decoding import Decoder
from llm_audit_schemas import schema_files, wire
from llm_audit_schemas.codec import Record
from llm_audit_schemas.text import NUL_MARK, SURROGATE_MARK
from tests.consumer.entries import CODEC, identity_of, message_of, new_record

GOOD = new_record()
ENCODED = CODEC.encode_record(GOOD)
BODY = ENCODED[wire.HEADER_BYTES :]


def outcome_of(message: Message) -> Record | DeadLetter:
    return Decoder(CODEC).decode_one(message)


def row_of(**changes: Any) -> Record:
    record = new_record(**changes)
    row = outcome_of(message_of(CODEC.encode_record(record), identity=identity_of(record)))
    assert not isinstance(row, DeadLetter), row
    return row


def letter_of(message: Message) -> DeadLetter:
    letter = outcome_of(message)
    assert isinstance(letter, DeadLetter), "a row came of it"
    assert letter.message is message
    return letter


def test_an_entry_becomes_a_row() -> None:
    row = outcome_of(message_of(ENCODED, identity=identity_of(GOOD)))
    assert isinstance(row, dict)
    assert str(row["request_id"]) == GOOD["request_id"]
    assert row["cost_usd"] == Decimal("0.0125")
    assert json.loads(row["metadata"]) == {"team": "trail"}


def test_the_identity_header_may_be_missing() -> None:
    assert not isinstance(outcome_of(message_of(ENCODED)), DeadLetter)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "not_framed"),
        (b"\x00\x01", "not_framed"),
        (b"plain text, no frame", "not_framed"),
        (BODY, "not_framed"),
        (wire.frame(7, BODY), "unknown_schema_id"),
        (wire.frame(-7, BODY), "unknown_schema_id"),
        (wire.frame(wire.FIXED_IDS[schema_files.MARKER], BODY), "unknown_schema_id"),
        (wire.frame(CODEC.schema_id, b""), "bad_body"),
        (wire.frame(CODEC.schema_id, b"\xff" * 200), "bad_body"),
        (ENCODED[:-1], "bad_body"),
        (ENCODED[: len(ENCODED) // 2], "bad_body"),
        (ENCODED + b"\x00", "trailing_bytes"),
        (ENCODED + BODY, "trailing_bytes"),
    ],
)
def test_bytes_that_are_no_entry_become_a_dead_letter(value: bytes | None, reason: str) -> None:
    assert letter_of(message_of(value)).reason == reason


def test_a_record_that_is_not_the_one_its_header_names_becomes_a_dead_letter() -> None:
    letter = letter_of(message_of(ENCODED, identity=uuid4().bytes))
    assert letter.reason == "identity_mismatch"
    assert GOOD["request_id"] in letter.detail


@pytest.mark.parametrize(
    "identity", [b"", b"short", identity_of(GOOD) + b"\x00"], ids=["none", "short", "long"]
)
def test_an_identity_of_another_length_is_another_identity(identity: bytes) -> None:
    assert letter_of(message_of(ENCODED, identity=identity)).reason == "identity_mismatch"


@pytest.mark.parametrize("field", ["metadata", "details", "digest_salts"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "7", "null", '"text"', '{"a": "\x00"}', "[" * 100_000])
def test_json_that_is_no_object_becomes_a_dead_letter(field: str, text: str) -> None:
    letter = letter_of(message_of(CODEC.encode_record(new_record(**{field: text}))))
    assert letter.reason == "invalid_json"
    assert field in letter.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "splendid"},
        {"status": ""},
        {"cost_usd": Decimal(10) ** 12},
        {"cost_usd": -(Decimal(10) ** 12)},
    ],
)
def test_values_outside_the_contract_become_dead_letters(changes: dict[str, Any]) -> None:
    record = new_record(**changes)
    # Decimals are packed by hand: the encoder itself refuses what the contract does not hold.
    value = _with_cost(record) if "cost_usd" in changes else CODEC.encode_record(record)
    assert letter_of(message_of(value)).reason in {"invalid_entry", "bad_body"}


def _with_cost(record: Record) -> bytes:
    """An entry whose cost has one digit more than the contract: the mark's bytes, replaced in the body."""
    mark = Decimal("123456789.123456789123")
    unscaled = int(mark.scaleb(12)).to_bytes(9, "big", signed=True)
    wanted = int(record["cost_usd"].scaleb(12)).to_bytes(11, "big", signed=True)
    encoded = CODEC.encode_record({**record, "cost_usd": mark})
    packed = _bytes(unscaled)
    assert encoded.count(packed) == 1
    return encoded.replace(packed, _bytes(wanted))


def _bytes(content: bytes) -> bytes:
    """Avro bytes: the length in zigzag, the content."""
    return struct.pack("B", len(content) * 2) + content


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r'{"a": "x\u0000y"}', {"a": f"x{NUL_MARK}y"}),
        (r'{"a\u0000": 1}', {f"a{NUL_MARK}": 1}),
        (r'{"a": "\ud800"}', {"a": SURROGATE_MARK}),
        (r'{"a": ["\udfff!"]}', {"a": [SURROGATE_MARK + "!"]}),
        (r'{"a": "\u00e9"}', {"a": "é"}),
        (r'{"a": "\ud83d\ude00"}', {"a": "😀"}),
        ('{"a": NaN, "b": -Infinity}', {"a": "nan", "b": "-inf"}),
    ],
)
@pytest.mark.parametrize("field", ["metadata", "details", "digest_salts"])
def test_json_that_postgresql_would_refuse_is_made_plain(
    field: str, text: str, wanted: dict[str, Any]
) -> None:
    assert json.loads(row_of(**{field: text})[field]) == wanted


def test_plain_json_is_passed_on_byte_for_byte() -> None:
    text = '{"b":1.10,  "a": [1e2]}'
    assert row_of(metadata=text)["metadata"] == text


def test_nul_in_text_is_marked() -> None:
    row = row_of(user_id="a\x00b", error_message="\x00", tool_names=["x\x00", "plain"])
    assert (row["user_id"], row["error_message"]) == (f"a{NUL_MARK}b", NUL_MARK)
    assert row["tool_names"] == ["x" + NUL_MARK, "plain"]


def test_a_time_that_is_no_date_becomes_a_dead_letter() -> None:
    """Avro's long reaches far beyond the calendar."""
    assert letter_of(message_of(CODEC.encode_record(new_record(timestamp=2**62)))).reason in {
        "bad_body",
        "invalid_entry",
    }


def test_one_bad_message_leaves_its_neighbours_alone() -> None:
    messages = [message_of(ENCODED, offset=0), message_of(b"junk", offset=1), message_of(ENCODED, offset=2)]
    decoded = BatchDecoder(Decoder(CODEC)).decode(messages)
    assert [letter.message.offset for letter in decoded.dead_letters] == [1]
    assert (len(decoded.entries), decoded.rows) == (2, [])
