"""What the consumer's metrics say of tokens, cost and calls without a user."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llm_audit_consumer.columnar.entry_rows import NO_ENTRIES, read_entries
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.spending import spending_of
from llm_audit_schemas.codec import Record
from tests.consumer.entries import CODEC, identity_of, new_record


def reported(*rows: Record) -> CollectorRegistry:
    registry = CollectorRegistry()
    spending_of(rows).report(Metrics(registry))
    return registry


def test_the_fast_path_counts_the_same() -> None:
    records = [
        row(input_tokens=5, output_tokens=7, cache_write_5m_tokens=2, cost_usd=Decimal("0.000000000001")),
        row(input_tokens=6, model="n", user_id="unattributed", cost_usd=Decimal("1.5")),
        row(input_tokens=-6, model="n", user_id="unattributes", cost_usd=Decimal(-1)),
        row(input_tokens=2**61, model="h"),
        row(input_tokens=2**61, model="h"),
        row(model=None, cache_write_1h_tokens=3),
        *(row(model="m", cost_usd=Decimal("0.1"), cache_read_tokens=1) for _ in range(50)),
    ]
    rows, taken = read_entries(
        [CODEC.encode_record(each) for each in records],
        [identity_of(each) for each in records],
        {CODEC.schema_id},
    )
    assert taken.all()
    slow = spending_of(records)
    assert rows.spending.cost_usd == slow.cost_usd
    assert rows.spending.without_cost == slow.without_cost
    assert rows.spending.unattributed == slow.unattributed == 1
    assert rows.spending.tokens == {key: pytest.approx(value) for key, value in slow.tokens.items() if value}


def test_no_entries_spend_nothing() -> None:
    rows, _ = read_entries([b"junk"], [None], {CODEC.schema_id})
    assert rows.spending == NO_ENTRIES.spending == spending_of([])


def row(**changes: Any) -> Record:
    nothing = {"input_tokens": None, "output_tokens": None, "cost_usd": None, "model": "m"}
    return new_record(**{**nothing, **changes})


def test_tokens_are_counted_by_model_and_kind() -> None:
    registry = reported(
        row(input_tokens=5, output_tokens=7, thinking_tokens=3, cache_read_tokens=11),
        row(input_tokens=5, cache_write_5m_tokens=2, cache_write_1h_tokens=4),
        row(model=None, input_tokens=1),
    )
    tokens = {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "llm_audit_tokens_total"
    }
    assert tokens == {
        ("m", "input"): 10,
        ("m", "output"): 7,  # its thinking is part of it
        ("m", "cache_read"): 11,
        ("m", "cache_write"): 6,
        ("unknown", "input"): 1,
    }


def test_a_cost_that_is_not_known_is_no_cost_of_zero() -> None:
    registry = reported(row(cost_usd=Decimal("0.25")), row(cost_usd=Decimal("0.5")), row(), row(model="n"))
    cost, without = "llm_audit_cost_usd_total", "llm_audit_calls_without_cost_total"
    assert registry.get_sample_value(cost, {"model": "m"}) == 0.75
    assert registry.get_sample_value(without, {"model": "m"}) == 1
    assert registry.get_sample_value(cost, {"model": "n"}) is None
    assert registry.get_sample_value(without, {"model": "n"}) == 1


def test_calls_without_a_user_are_counted() -> None:
    registry = reported(row(user_id="unattributed"), row(user_id="ada"))
    assert registry.get_sample_value("llm_audit_unattributed_calls_total") == 1


def test_hostile_figures_stop_nobody() -> None:
    registry = reported(
        row(input_tokens=-5, output_tokens=2**63 - 1, cost_usd=Decimal(-1)), row(input_tokens=3)
    )
    assert registry.get_sample_value("llm_audit_tokens_total", {"model": "m", "kind": "input"}) == 3
    assert registry.get_sample_value("llm_audit_cost_usd_total", {"model": "m"}) == 0
