"""What is known of a platform's prices: a cost, or the true reason for having none."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_audit_producer.pricing import GenaiPrices, PriceOverrides, Usage, billed_model, reasons

AT = datetime(2026, 11, 23, tzinfo=UTC)
USAGE = Usage(input_tokens=1_000_000, output_tokens=0)


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        # Bedrock Mantle's endpoints are a region's own, so its unprefixed names cost what a region costs: a tenth more.
        ("aws.bedrock", "anthropic.claude-opus-5", "5.5"),
        ("aws.bedrock", "global.anthropic.claude-opus-5", "5"),
        ("aws.bedrock", "anthropic.claude-tomorrow-9", reasons.UNKNOWN_MODEL),
        ("aws.bedrock", "claude-opus-5", reasons.UNKNOWN_MODEL),
        # genai-prices lists neither platform; the Claude API's own prices are not taken for theirs.
        ("aws.claude", "claude-opus-5", reasons.UNKNOWN_MODEL),
        ("gcp.claude", "claude-opus-5", reasons.UNKNOWN_MODEL),
        ("azure.ai.foundry", "claude-opus-5", "5"),
        ("azure.ai.foundry", "my-own-deployment", reasons.UNKNOWN_MODEL),
    ],
)
def test_a_platforms_price_or_the_reason(provider: str, model: str, expected: str) -> None:
    priced = GenaiPrices().price(provider, billed_model(provider, model, model), AT, USAGE)
    assert expected == (priced.cost_reason or f"{priced.cost_usd:f}".rstrip("0").rstrip("."))
    assert priced.price_source is not None  # it was asked, and did not know


@pytest.mark.parametrize("provider", ["aws.claude", "gcp.claude", "gcp.vertex_ai"])
def test_a_platform_without_list_prices_is_priced_by_overrides(provider: str) -> None:
    source = PriceOverrides({"providers": {provider: {"claude-*": {"input": "7", "output": "8"}}}})
    assert source.price(provider, "claude-opus-5", AT, USAGE).cost_usd == Decimal(7)
