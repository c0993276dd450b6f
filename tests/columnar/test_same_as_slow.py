"""For any bytes: the fast path leaves a message alone, or makes of it exactly the row that the slow path makes.

The one exception is a row that PostgreSQL refuses (no UTF-8, no JSON): the batch then goes the slow path.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_audit_consumer.batch import DeadLetter
from llm_audit_consumer.columnar.entry_rows import read_entries
from llm_audit_consumer.decoding import Decoder
from llm_audit_schemas import AuditEntry
from llm_audit_schemas.codec import Record
from tests.benchmarks.made_up_entries import made_up_messages
from tests.columnar.binary_rows import records_of
from tests.columnar.mutations import mutated
from tests.consumer.entries import CODEC, message_of, new_record
from tests.contract.strategies import entries

IDS = {CODEC.schema_id}
_JSON_FIELDS = ("metadata", "details", "digest_salts")


def slow(value: bytes | None, identity: bytes | None) -> Record | DeadLetter:
    return Decoder(CODEC).decode_one(message_of(value, identity=identity))


def compare(values: Sequence[bytes | None], identities: Sequence[bytes | None]) -> int:
    """Hold the fast path against the slow one, message by message; returns how many it took."""
    rows, taken = read_entries(values, identities, IDS)
    assert len(rows) == taken.sum()
    outcomes = [slow(value, identity) for value, identity in zip(values, identities, strict=True)]
    wanted = [outcome for outcome, is_taken in zip(outcomes, taken, strict=True) if is_taken]
    rows_wanted = [each for each in wanted if not isinstance(each, DeadLetter)]
    if len(rows_wanted) == len(wanted):
        assert [comparable(each) for each in records_of(rows)] == [comparable(each) for each in rows_wanted]
    else:
        for number in [number for number, is_taken in enumerate(taken) if is_taken]:
            compare_one(values[number], identities[number])
    return len(rows)


def compare_one(value: bytes | None, identity: bytes | None) -> None:
    rows, (taken,) = read_entries([value], [identity], IDS)
    if not taken:
        return
    try:
        (found,) = records_of(rows)
        for name in _JSON_FIELDS:
            assert found[name] is None or isinstance(json.loads(found[name]), dict)
    except ValueError:
        return  # PostgreSQL refuses it
    wanted = slow(value, identity)
    assert not isinstance(wanted, DeadLetter), wanted.reason
    assert comparable(found) == comparable(wanted)


def comparable(row: Record) -> Record:
    """The row with its JSON as ``jsonb`` would have it."""
    return {**row, **{name: row[name] and json.loads(row[name]) for name in _JSON_FIELDS}}


@given(st.lists(entries(), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_every_entry_that_the_contract_allows_becomes_the_same_row(batch: list[AuditEntry]) -> None:
    values = [CODEC.encode(each) for each in batch]
    compare(values, [None] * len(values))


def test_what_services_write_is_taken_whole() -> None:
    batch = list(made_up_messages(2_000))
    assert compare([value for _, value, _ in batch], [identity for _, _, identity in batch]) == len(batch)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_gone_wrong_are_left_alone_or_become_the_same_row(seed: int) -> None:
    chance = random.Random(seed)
    good = [value for _, value, _ in made_up_messages(20, seed=seed)]
    good += [
        CODEC.encode_record(new_record(prev_digest=bytes(range(32)), tool_names=["a", "b"], cost_usd=None))
    ]
    batch = [mutated(chance, good) if chance.random() < 0.9 else chance.choice(good) for _ in range(300)]
    compare(batch, [None] * len(batch))
