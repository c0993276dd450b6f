"""What the fast path leaves alone, example by example, and that its neighbours are taken all the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from llm_audit_consumer.columnar.entry_rows import read_entries
from llm_audit_schemas import schema_files, wire
from tests.columnar.binary_rows import records_of
from tests.consumer.entries import CODEC, identity_of, new_record

IDS = {CODEC.schema_id}
GOOD = CODEC.encode_record(new_record(user_id="grace"))


def taken(value: bytes | None, identity: bytes | None = None) -> bool:
    """Whether the fast path takes a message that lies between two good ones; these it takes always."""
    rows, (before, it, after) = read_entries([GOOD, value, GOOD], [None, identity, None], IDS)
    assert before
    assert after
    assert [row["user_id"] for row in records_of(rows)][:: len(rows) - 1] == ["grace", "grace"]
    return bool(it)


def body(**changes: Any) -> bytes:
    return CODEC.encode_record(new_record(**changes))


def test_a_good_entry_is_taken() -> None:
    record = new_record()
    assert taken(CODEC.encode_record(record))
    assert taken(CODEC.encode_record(record), identity_of(record))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\x00",
        b"junk",
        wire.frame(CODEC.schema_id, b""),
        GOOD[:-1],
        GOOD + b"\x00",
        GOOD + GOOD,
        b"\x01" + GOOD[1:],
        wire.frame(7, GOOD[wire.HEADER_BYTES :]),
        wire.frame(wire.FIXED_IDS[schema_files.MARKER], GOOD[wire.HEADER_BYTES :]),
    ],
)
def test_what_is_no_entry_of_ours_is_left_alone(value: bytes | None) -> None:
    assert not taken(value)


@pytest.mark.parametrize(
    "identity", [b"", b"short", uuid4().bytes, bytes(16)], ids=["none", "short", "other", "zero"]
)
def test_an_entry_under_another_name_is_left_alone(identity: bytes) -> None:
    assert not taken(GOOD, identity)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "splendid"},
        {"status": ""},
        {"status": "error\x00\x00"},
        {"user_id": "a\x00b"},
        {"tool_names": ["plain", "x\x00"]},
        {"metadata": '{"a": "\x00"}'},
        {"metadata": "[1]"},
        {"details": "null"},
        {"details": ""},
        {"digest_salts": ' {"a": 1}'},
        {"metadata": '{"a":' * 500 + "1" + "}" * 500},
        {"metadata": '{"a": ' + "9" * 4301 + "}"},
        {"timestamp": 2**62},
        {"timestamp": -(2**62)},
        {"sequence": 2**62},
        {"cost_usd": Decimal("9223372.036854775808")},
        {"tool_names": ["x"] * 65},
    ],
)
def test_a_value_that_needs_a_closer_look_is_left_alone(changes: dict[str, Any]) -> None:
    assert not taken(body(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"prev_digest": bytes(32), "entry_mac": b""},
        {"tool_names": []},
        {"tool_names": ["", "a,b", '"', "x" * 600]},
        {"metadata": "{}", "details": '{"a": "' + "x" * 5000 + '"}'},
        {"cost_usd": Decimal("-9223372.036854775807")},
        {"cost_usd": Decimal("-0.000000000001")},
        {"cost_usd": Decimal(0)},
        {"sequence": 2**62 - 1},
        {"user_id": "", "error_message": "\\N\t\r\n\"'", "model": None},
        {"user_id": "\N{GRINNING FACE}é"},
    ],
)
def test_a_value_at_the_edge_is_taken_as_it_is(changes: dict[str, Any]) -> None:
    record = new_record(**changes)
    rows, (it,) = read_entries([CODEC.encode_record(record)], [None], IDS)
    assert it
    (row,) = records_of(rows)
    assert {name: row[name] for name in changes} == changes
    assert row["request_id"] == UUID(record["request_id"])


def test_the_branch_of_a_union_and_a_boolean_have_two_values_each() -> None:
    """Other bytes there take as much room, so nothing else would give them away."""
    marked = body(tenant="the tenant", streamed=True, stop_reason="the reason")
    branch = marked.index(b"the tenant") - 2
    assert marked[branch] == 2
    flag = marked.index(b"the reason") - 3
    assert marked[flag] == 1
    for place, wrong in ((branch, 4), (branch, 3), (flag, 2), (flag, 255)):
        assert not taken(marked[:place] + bytes([wrong]) + marked[place + 1 :])
    assert taken(marked)


def test_a_length_below_zero_and_one_beyond_the_message_are_left_alone() -> None:
    marked = body(user_id="the user")
    length = marked.index(b"the user") - 1
    for wrong in (
        b"\x01",
        b"\xff\x01",
        b"\xfe\xff\xff\xff\x0f",
        b"\xff" * 9 + b"\x01",
        b"\xff" * 12 + b"\x01",
    ):
        assert not taken(marked[:length] + wrong + marked[length + 1 :])


def test_the_one_number_without_a_counterpart_above_zero_is_left_alone() -> None:
    greatest = (2**63 - 1).to_bytes(8, "big")
    marked = body(cost_usd=Decimal("9223372.036854775807"))
    assert taken(marked)
    assert not taken(marked.replace(greatest, (2**63).to_bytes(8, "big")))


def test_of_a_batch_in_which_nothing_is_ours_nothing_is_taken() -> None:
    rows, are_taken = read_entries([None, b"junk"], [None, None], IDS)
    assert (len(rows), are_taken.tolist()) == (0, [False, False])
