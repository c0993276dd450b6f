"""Prices: cases worked out by hand, what is never guessed, and agreement with an independent computation."""

from __future__ import annotations

import decimal
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest

from llm_audit_producer.pricing import (
    REASONS,
    GenaiPrices,
    Iteration,
    NoPrices,
    Priced,
    Rates,
    RateTable,
    TokenCounts,
    Usage,
    billed_model,
    cost,
    reasons,
    usage_of,
)

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SONNET_4_5 = "claude-sonnet-4-5-20250929"


@dataclass(kw_only=True)
class Tokens:
    """Reported counts, as a producer hands them in."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    server_tool_requests: int | None = None
    web_search_requests: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


def tokens_of(raw: Mapping[str, Any]) -> Tokens:
    split = raw.get("cache_creation") or {}
    tools = raw.get("server_tool_use") or {}
    return Tokens(
        input_tokens=raw.get("input_tokens"),
        output_tokens=raw.get("output_tokens"),
        cache_read_tokens=raw.get("cache_read_input_tokens"),
        cache_write_5m_tokens=split.get("ephemeral_5m_input_tokens"),
        cache_write_1h_tokens=split.get("ephemeral_1h_input_tokens"),
        server_tool_requests=sum(tools.values()) if tools else None,
        web_search_requests=tools.get("web_search_requests"),
        service_tier=raw.get("service_tier"),
        inference_geo=raw.get("inference_geo"),
        speed=raw.get("speed"),
    )


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    return GenaiPrices()


def price(
    source: GenaiPrices,
    usage: Usage,
    model: str | None = SONNET_4_5,
    *,
    at: datetime = NOW,
    provider: str = "anthropic",
) -> Priced:
    priced = source.price(provider, model, at, usage)
    assert (priced.cost_usd is None) == (priced.cost_reason is not None)
    assert priced.cost_reason is None or priced.cost_reason in REASONS
    return priced


def test_every_count_at_its_own_rate() -> None:
    rates = Rates(
        input=Decimal(3),
        output=Decimal(15),
        cache_read=Decimal("0.3"),
        cache_write_5m=Decimal("3.75"),
        cache_write_1h=Decimal(6),
        web_search=Decimal(10),
    )
    counts = TokenCounts(
        input_tokens=1_000,
        output_tokens=200,
        cache_read_tokens=5_000,
        cache_write_5m_tokens=300,
        cache_write_1h_tokens=70,
        web_searches=3,
    )
    # 1000*3 + 200*15 + 5000*0.3 + 300*3.75 + 70*6 = 9045 millionths of a dollar; and 3 searches at a cent
    assert cost(counts, rates) == Decimal("0.039045")


@pytest.mark.parametrize(
    "name",
    [
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "web_searches",
    ],
)
def test_something_used_without_a_rate_has_no_cost(name: str) -> None:
    assert cost(TokenCounts(**{name: 1}), Rates()) is None
    assert cost(TokenCounts(**{name: 0}), Rates()) == 0


def test_cost_is_exact_whatever_the_threads_decimal_context_is() -> None:
    rates = Rates(input=Decimal("0.123457"), output=Decimal("7.654321"))
    counts = TokenCounts(input_tokens=9_007_199_254_740_993, output_tokens=1)
    with decimal.localcontext() as context:
        context.prec = 3
        amount = cost(counts, rates)
    assert amount is not None
    assert int(amount.scaleb(12)) == 9_007_199_254_740_993 * 123_457 + 7_654_321


def test_a_long_prompt_costs_more_for_every_token() -> None:
    table = RateTable(Rates(tier="a"), ((100, Rates(tier="b")), (200, Rates(tier="c"))))
    tiers = {count: table.rates_for(count).tier for count in (0, 100, 101, 200, 201)}
    assert tiers == {0: "a", 100: "a", 101: "b", 200: "b", 201: "c"}


def test_a_plain_call(listed: GenaiPrices) -> None:
    priced = price(listed, Usage(input_tokens=1_000, output_tokens=100, inference_geo="not_available"))
    assert priced.cost_usd == Decimal("0.0045")  # 1000*3 + 100*15 per million
    assert str(priced.cost_usd) == "0.004500000000"
    assert priced.price_source == f"genai-prices/{genai_prices.__version__}"
    assert priced.rates == {
        "tier": "standard",
        "input": "3",
        "output": "15",
        "cache_read": "0.3",
        "cache_write_5m": "3.75",
        "cache_write_1h": "6",
        "web_search": "10",
    }


def test_thinking_is_counted_once(listed: GenaiPrices) -> None:
    raw = {"input_tokens": 10, "output_tokens": 500, "output_tokens_details": {"thinking_tokens": 450}}
    assert price(listed, usage_of(tokens_of(raw), raw)).cost_usd == Decimal("0.00753")  # 10*3 + 500*15


@pytest.mark.parametrize(("cached", "expected"), [(199_999, "0.0600027"), (200_000, "0.120006")])
def test_the_cache_counts_towards_the_long_prompt(listed: GenaiPrices, cached: int, expected: str) -> None:
    priced = price(listed, Usage(input_tokens=1, output_tokens=0, cache_read_tokens=cached))
    assert priced.cost_usd == Decimal(expected)  # 0.3 and 3 per million up to 200,000 tokens, 0.6 and 6 above
    assert priced.rates is not None
    assert priced.rates["tier"] == ("standard" if cached < 200_000 else "standard_above_200000")


@pytest.mark.parametrize(("day", "expected"), [(12, "2.5"), (13, "1.25")])
def test_prices_are_those_of_the_day(listed: GenaiPrices, day: int, expected: str) -> None:
    usage = Usage(input_tokens=250_000, output_tokens=0)  # Opus 4.6 lost its long-prompt rate on 2026-03-13
    at = datetime(2026, 3, day, 23, 59, tzinfo=UTC)
    assert price(listed, usage, "claude-opus-4-6", at=at).cost_usd == Decimal(expected)


def test_batches_cost_half_where_the_source_says_so(listed: GenaiPrices) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000, service_tier="batch")
    priced = price(listed, usage, "claude-opus-4-8")
    assert priced.cost_usd == Decimal("15")
    assert priced.rates is not None
    assert priced.rates["tier"] == "batch"
    before = price(listed, usage, "claude-opus-4-8", at=datetime(2026, 10, 13, tzinfo=UTC))
    assert before.cost_reason == reasons.BATCH_UNPRICED


def test_fast_mode_has_its_own_rates_or_no_price(listed: GenaiPrices) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000, speed="fast")
    assert price(listed, usage, "claude-opus-4-8").cost_usd == Decimal(60)
    assert price(listed, usage, SONNET_4_5).cost_reason == reasons.FAST_MODE_UNPRICED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"inference_geo": "us"}, reasons.INFERENCE_GEO_UNPRICED),
        ({"service_tier": "priority"}, reasons.SERVICE_TIER_UNPRICED),
        ({"service_tier": "batch", "speed": "fast"}, reasons.BATCH_UNPRICED),
        ({"input_tokens": None, "output_tokens": None}, reasons.NO_USAGE),
        ({"output_tokens": None}, reasons.USAGE_INCOMPLETE),
        ({"input_tokens": -1}, reasons.USAGE_INCONSISTENT),
        ({"output_tokens": 1.5}, reasons.USAGE_INCONSISTENT),
    ],
)
def test_what_is_not_known_is_not_guessed(listed: GenaiPrices, changes: dict[str, Any], reason: str) -> None:
    usage = Usage(input_tokens=1, output_tokens=1)
    assert price(listed, usage, "claude-opus-4-8").cost_usd is not None
    assert price(listed, replace(usage, **changes), "claude-opus-4-8").cost_reason == reason


@pytest.mark.parametrize("geo", [None, "global", "not_available"])
def test_no_geography_is_no_surcharge(listed: GenaiPrices, geo: str | None) -> None:
    assert price(listed, Usage(input_tokens=1, output_tokens=1, inference_geo=geo)).cost_usd is not None


@pytest.mark.parametrize("model", [None, "", "claude-tomorrow-9", "gpt-4o"])
def test_an_unknown_model_has_no_cost(listed: GenaiPrices, model: str | None) -> None:
    assert price(listed, Usage(input_tokens=1, output_tokens=1), model).cost_reason == reasons.UNKNOWN_MODEL


def test_an_unknown_provider_has_no_cost(listed: GenaiPrices) -> None:
    priced = price(listed, Usage(input_tokens=1, output_tokens=1), provider="my-own-cluster")
    assert priced.cost_reason == reasons.UNKNOWN_MODEL


def test_a_rate_that_is_missing_is_not_taken_for_zero(listed: GenaiPrices) -> None:
    usage = Usage(input_tokens=1, output_tokens=1, web_searches=1)
    assert price(listed, usage, "claude-3-haiku-20240307").cost_reason == reasons.RATE_UNKNOWN


def test_bedrock_goes_by_the_name_that_was_asked_for(listed: GenaiPrices) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    answered = "claude-opus-5"
    for requested, expected in (
        ("global.anthropic.claude-opus-5", "5"),
        ("us.anthropic.claude-opus-5", "5.5"),
    ):
        model = billed_model("aws.bedrock", requested, answered)
        assert price(listed, usage, model, provider="aws.bedrock").cost_usd == Decimal(expected)
    assert price(listed, usage, answered, provider="aws.bedrock").cost_reason == reasons.UNKNOWN_MODEL
    assert billed_model("anthropic", "claude-opus-5-latest", answered) == answered
    assert billed_model("anthropic", "claude-opus-5", None) == answered


def test_vertex_is_priced_where_its_endpoint_is_known_to_be_global(listed: GenaiPrices) -> None:
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    regional = listed.price("gcp.vertex_ai", "claude-opus-5", NOW, usage)
    assert regional.cost_reason == reasons.REGION_UNPRICED
    everywhere = listed.price("gcp.vertex_ai", "claude-opus-5", NOW, usage, region="global")
    assert everywhere.cost_usd == Decimal(5)


def test_without_the_package_there_is_no_price_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    source = GenaiPrices()
    for _ in range(2):
        assert price(source, Usage(input_tokens=1, output_tokens=1)).cost_reason == reasons.NO_PRICE_SOURCE
    assert price(source, Usage()).cost_reason == reasons.NO_USAGE
    nothing = NoPrices().price("anthropic", SONNET_4_5, NOW, Usage(input_tokens=1, output_tokens=1))
    assert nothing.cost_reason == reasons.NO_PRICE_SOURCE


def test_a_price_table_that_breaks_costs_the_price_not_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the table is broken")

    monkeypatch.setattr(genai_prices, "calc_price", broken)
    priced = price(GenaiPrices(), Usage(input_tokens=1, output_tokens=1))
    assert priced.cost_reason == reasons.PRICE_SOURCE_FAILED


def test_made_up_model_names_do_not_fill_the_memory(listed: GenaiPrices) -> None:
    for number in range(1_100):
        price(listed, Usage(input_tokens=1, output_tokens=1), f"made-up-{number}")
    assert len(listed._tables) <= 1_024


# -- what only the usage block says ----------------------------------------------------------------------------


def message(input_tokens: int, output_tokens: int, **more: object) -> dict[str, object]:
    return {"type": "message", "input_tokens": input_tokens, "output_tokens": output_tokens, **more}


def usage_with(*iterations: Mapping[str, object], **changes: object) -> Usage:
    raw = {"input_tokens": 300, "output_tokens": 30, "iterations": list(iterations), **changes}
    return usage_of(tokens_of(raw), raw)


def test_an_advisor_is_billed_at_its_own_models_rates(listed: GenaiPrices) -> None:
    usage = usage_with(
        message(100, 10),
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 1_000, "output_tokens": 100},
        message(200, 20),
    )
    priced = price(listed, usage, "claude-sonnet-5")
    # 300*2 + 30*10 for the call's own model, 1000*5 + 100*25 for the advisor: 8400 millionths
    assert priced.cost_usd == Decimal("0.0084")
    assert priced.rates is not None
    models = priced.rates["models"]
    assert isinstance(models, dict)
    assert models["claude-opus-4-8"]["input"] == "5"


def test_a_compaction_is_billed_although_the_totals_leave_it_out(listed: GenaiPrices) -> None:
    usage = usage_with(
        {"type": "compaction", "input_tokens": 10_000, "output_tokens": 1_000}, message(300, 30)
    )
    assert price(listed, usage, "claude-sonnet-5").cost_usd == Decimal("0.0309")  # 10300*2 + 1030*10


@pytest.mark.parametrize(
    ("iterations", "changes", "reason"),
    [
        ([message(300, 29)], {}, None),  # one plain message says no more than the totals
        ([message(100, 10), message(200, 19)], {}, reasons.USAGE_INCONSISTENT),
        ([message(100, 10), message(200, "20")], {}, reasons.USAGE_INCONSISTENT),  # type: ignore[arg-type]
        ([message(100, 10), message(200, 20, model="claude-opus-5")], {}, reasons.FALLBACK_UNPRICED),
        ([message(100, 10), {**message(200, 20), "type": "fallback_message"}], {}, reasons.FALLBACK_UNPRICED),
        ([message(100, 10), {**message(200, 20), "type": "dream"}], {}, reasons.ITERATION_UNPRICED),
        (
            [message(300, 30), {**message(1, 1), "type": "compaction"}],
            {"speed": "fast"},
            reasons.COMPACTION_UNPRICED,
        ),
        ([message(300, 30), {**message(1, 1), "type": "advisor_message"}], {}, reasons.ADVISOR_UNPRICED),
        (
            [message(300, 30), {**message(1, 1, model="who-knows"), "type": "advisor_message"}],
            {},
            reasons.ADVISOR_UNPRICED,
        ),
        (
            [message(300, 30), message(0, 0, cache_creation_input_tokens=5)],
            {},
            reasons.CACHE_LIFETIME_UNKNOWN,
        ),
        ([], {"cache_creation_input_tokens": 5}, reasons.CACHE_LIFETIME_UNKNOWN),
        (
            [],
            {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 4}},
            reasons.USAGE_INCONSISTENT,
        ),
        ([], {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 9}}, None),
        ([], {"server_tool_use": {"code_execution_requests": 1}}, reasons.SERVER_TOOL_UNPRICED),
        ([], {"fallback_credit": {"status": {"type": "redeemed"}}}, reasons.FALLBACK_UNPRICED),
    ],
)
def test_what_the_usage_block_says_beyond_the_counts(
    listed: GenaiPrices, iterations: list[dict[str, object]], changes: dict[str, object], reason: str | None
) -> None:
    assert price(listed, usage_with(*iterations, **changes), "claude-opus-4-8").cost_reason == reason


def test_iterations_that_could_fall_under_two_tiers_have_no_price(listed: GenaiPrices) -> None:
    iterations = (
        Iteration(kind="message", input_tokens=60_000, output_tokens=1),
        Iteration(kind="message", input_tokens=60_000, output_tokens=1),
    )
    usage = Usage(input_tokens=120_000, output_tokens=2, iterations=iterations)
    assert price(listed, usage, "claude-haiku-5-5").cost_reason == reasons.ITERATION_UNPRICED
    assert price(listed, usage, "claude-opus-5").cost_usd is not None


def test_a_broken_stream_has_no_cost(listed: GenaiPrices) -> None:
    begun = Tokens(input_tokens=100, output_tokens=1)
    assert price(listed, usage_of(begun, complete=False)).cost_reason == reasons.USAGE_INCOMPLETE
    assert price(listed, usage_of(Tokens(), complete=False)).cost_reason == reasons.NO_USAGE
    assert price(listed, usage_of(begun)).cost_usd is not None


# -- agreement with genai-prices' own arithmetic over recorded traffic -----------------------------------------

RECORDINGS = Path(
    os.environ.get("LLM_AUDIT_RECORDINGS")
    or Path(__file__).resolve().parents[3] / "shared" / "recordings" / "anthropic.jsonl"
)


def recorded_usages() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Model and merged usage block of every recorded answer."""
    with RECORDINGS.open(encoding="utf-8") as lines:
        for line in lines:
            body = json.loads(line)["response"]["body"]
            events = [json.loads(part[5:]) for part in body.splitlines() if part.startswith("data:")]
            if not events:
                answer = json.loads(body) if body.startswith("{") else {}
                if answer.get("type") == "message":
                    yield answer["model"], answer["usage"]
                continue
            start = next((event["message"] for event in events if event.get("type") == "message_start"), None)
            if start is not None:
                usage = dict(start["usage"])
                for event in events:
                    if event.get("type") == "message_delta":
                        usage |= {name: value for name, value in event["usage"].items() if value is not None}
                yield start["model"], usage


def reference(model: str, raw: Mapping[str, Any]) -> Decimal:
    """The package's own price, given its own meaning of the counts; an advisor is a second call."""
    total = Decimal(0)
    parts = [(model, raw)]
    parts += [
        (part["model"], part) for part in raw.get("iterations") or () if part["type"] == "advisor_message"
    ]
    for name, block in parts:
        extracted = genai_prices.extract_usage({"model": name, "usage": dict(block)}, provider_id="anthropic")
        total += genai_prices.calc_price(
            extracted.usage, name, provider_id="anthropic", genai_request_timestamp=NOW
        ).total_price
    return total


@pytest.mark.skipif(
    not RECORDINGS.exists(), reason=f"no recordings at {RECORDINGS}; set LLM_AUDIT_RECORDINGS"
)
def test_costs_agree_with_the_packages_own_arithmetic_on_recorded_traffic(listed: GenaiPrices) -> None:
    unpriced: list[str] = []
    agreed = 0
    for model, raw in recorded_usages():
        priced = price(listed, usage_of(tokens_of(raw), raw), model)
        if priced.cost_usd is None:
            assert priced.cost_reason is not None
            unpriced.append(priced.cost_reason)
            continue
        assert priced.cost_usd == reference(model, raw), (model, raw)
        agreed += 1
    assert agreed > 0
    # A few old answers report cache writes without their lifetime, which the package takes for five minutes.
    assert set(unpriced) <= {reasons.CACHE_LIFETIME_UNKNOWN}
    assert len(unpriced) <= agreed // 50
