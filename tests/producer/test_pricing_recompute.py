"""Every fact that a price goes by is in the row: the same table gives the same cost, or the same reason, again."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings

from llm_audit_producer.call import Call
from llm_audit_producer.pricing import REASONS, Priced, PriceSource, price_source, reasons
from llm_audit_producer.pricing.comparison import compare
from llm_audit_producer.pricing.recompute import StoredCall, recompute
from tests.producer.stored_calls import CASES, call_of, calls, entry_of, plain, stored

TOO_LARGE = "a block too large to keep"


@pytest.fixture(scope="module")
def listed() -> PriceSource:
    return price_source()


def outcome(call: StoredCall | Priced) -> tuple[Decimal | None, str | None]:
    return call.cost_usd, call.cost_reason


@pytest.mark.parametrize("name", [name for name in CASES if name != TOO_LARGE])
def test_a_stored_call_costs_the_same_again(name: str, listed: PriceSource) -> None:
    call, expected = CASES[name]
    row = stored(entry_of(call))
    assert expected == (row.cost_reason or f"{row.cost_usd:f}".rstrip("0"))
    again = recompute(listed, row)
    assert outcome(again) == outcome(row)
    assert again.price_source == row.price_source


def test_every_reason_that_the_list_prices_give_is_among_the_cases() -> None:
    said = {expected for _, expected in CASES.values() if not expected[0].isdigit()}
    elsewhere = {
        reasons.NO_PRICE_SOURCE,
        reasons.PRICE_SOURCE_FAILED,
        reasons.RATES_UNSUPPORTED,
        reasons.USAGE_NOT_KEPT,
    }
    assert said | elsewhere == set(REASONS)


def test_a_block_that_was_too_large_to_keep_has_no_price_again(listed: PriceSource) -> None:
    row = stored(entry_of(CASES[TOO_LARGE][0]))
    assert f"{row.cost_usd:f}".rstrip("0") == CASES[TOO_LARGE][1]
    assert outcome(recompute(listed, row)) == (None, reasons.USAGE_NOT_KEPT)


@settings(max_examples=400, deadline=None)
@given(calls)
def test_whatever_was_reported_the_row_tells_its_price(call: Call) -> None:
    row = stored(entry_of(call))
    assert (row.cost_usd is None) == (row.cost_reason is not None)
    assert outcome(recompute(_LISTED, row)) == outcome(row)


_LISTED = price_source()

OVERRIDES = """
[providers."aws.claude"."*"]
input = "2"
output = "10"

[providers.anthropic."claude-sonnet-4-5*"]
input = "2"
output = "10"
cache_read = "0.2"
cache_write_5m = "2.5"
cache_write_1h = "4"

[providers.anthropic."claude-sonnet-4-5*".long_context]
above_input_tokens = 150000
input = "4"
output = "20"
cache_read = "0.4"

[providers.anthropic."claude-opus-4-8"]
input = "4"
output = "20"

[providers.anthropic."claude-opus-4-8".batch]
input = "1"
output = "5"
"""


@pytest.fixture
def overrides(tmp_path: Path) -> Path:
    file = tmp_path / "negotiated.toml"
    file.write_text(OVERRIDES)
    return file


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", "0.003"),  # 1000*2 + 100*10
        ("cache", "0.003203"),  # and 500*0.2 + 30*2.5 + 7*4
        ("long prompt", "0.086"),  # 1000*4 + 100*20 + 200000*0.4
        ("answered by another", "0.006"),  # 1000*4 + 100*20
        ("batch not said", "0.0015"),  # 1000*1 + 100*5
        ("fast", reasons.FAST_MODE_UNPRICED),
        ("searches", reasons.RATE_UNKNOWN),
        ("compaction", "0.022"),  # 10000*2 + 200*10
        ("advisor", "0.009"),  # 0.003 and 0.006
        ("vertex, global", "0.0075"),  # as listed
        ("left half-way", reasons.USAGE_INCOMPLETE),
    ],
)
def test_another_table_says_what_is_worked_out_by_hand(name: str, expected: str, overrides: Path) -> None:
    again = recompute(price_source(overrides), stored(entry_of(CASES[name][0])))
    assert expected == (again.cost_reason or f"{again.cost_usd:f}".rstrip("0"))


def test_calls_priced_by_overrides_cost_the_same_again(overrides: Path) -> None:
    source = price_source(overrides)
    for name, (call, _) in CASES.items():
        row = stored(entry_of(call, overrides))
        if name != TOO_LARGE:
            assert outcome(recompute(source, row)) == outcome(row), name


def test_a_comparison_adds_up_and_takes_no_missing_price_for_a_saving(
    overrides: Path, listed: PriceSource
) -> None:
    names = ["plain", "plain", "cache", "searches", "unknown model", "left half-way", "claude on aws"]
    rows = [stored(entry_of(CASES[name][0])) for name in names]
    newer = price_source(overrides)
    found = compare(iter(rows), lambda row: recompute(newer, row))
    (sonnet,) = [each for each in found if each.cost_usd is not None]
    assert (sonnet.provider, sonnet.model) == ("anthropic", "claude-sonnet-4-5-20250929")
    assert (sonnet.calls, sonnet.changed_calls) == (4, 4)
    assert sonnet.cost_usd == Decimal("0.0483045")  # 2 * 0.0045 + 0.0048045 + 0.0345
    assert sonnet.new_cost_usd == Decimal("0.009203")  # 2 * 0.003 + 0.003203
    assert sonnet.difference_usd == Decimal("-0.0046015")  # of the three that both tables know
    assert (sonnet.null_before, sonnet.null_after) == ({}, {reasons.RATE_UNKNOWN: 1})
    assert found[0] is sonnet
    (aws,) = [each for each in found if each.provider == "aws.claude"]
    assert (aws.cost_usd, aws.new_cost_usd, aws.difference_usd) == (None, Decimal("0.003"), None)
    assert (aws.changed_calls, aws.null_before, aws.null_after) == (1, {reasons.UNKNOWN_MODEL: 1}, {})
    for each in [each for each in found if each not in (sonnet, aws)]:
        assert (each.changed_calls, each.cost_usd, each.new_cost_usd, each.difference_usd) == (
            0,
            None,
            None,
            None,
        )
        assert each.null_before == each.null_after


def test_sums_are_exact_beyond_the_threads_digits() -> None:
    large = Priced(cost_usd=Decimal("900000000000.000000000001"))
    row = stored(entry_of(call_of(plain())))
    (found,) = compare([row] * 30_000, lambda _: large)
    assert found.new_cost_usd == Decimal("27000000000000000.000000030000")
    assert found.cost_usd == Decimal(135)
