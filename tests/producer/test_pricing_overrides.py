"""Negotiated prices: they win, they are exact, and a mistake in them is named."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_producer.pricing import GenaiPrices, PriceOverrides, Usage, price_source, reasons

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MILLION = Usage(input_tokens=1_000_000, output_tokens=0)

TOML = """
[providers.anthropic."claude-opus-4-8"]
input = 4.1
output = "20"
[providers.anthropic."claude-opus-4-8".batch]
input = 2
[providers.anthropic."claude-opus-4-8".long_context]
above_input_tokens = 2000000
input = 9
[providers.anthropic."claude-*"]
input = 1
output = 1
[providers.anthropic."claude-opus-*"]
input = 2
output = 1
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "negotiated.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("model", "expected"),
    [("claude-opus-4-8", "4.1"), ("claude-opus-9", "2"), ("claude-new", "1")],
)
def test_the_exact_name_wins_then_the_longest_pattern(file: Path, model: str, expected: str) -> None:
    source = price_source(file)
    priced = source.price("anthropic", model, NOW, MILLION)
    assert priced.cost_usd == Decimal(expected)
    digest = hashlib.sha256(TOML.encode()).hexdigest()[:12]
    assert priced.price_source == f"overrides:negotiated.toml@sha256:{digest}"


def test_models_and_providers_not_named_go_to_the_list(file: Path) -> None:
    source = price_source(file)
    priced = source.price("aws.bedrock", "global.anthropic.claude-opus-5", NOW, MILLION)
    assert priced.cost_usd == Decimal(5)
    assert str(priced.price_source).startswith("genai-prices/")
    alone = PriceOverrides.from_file(file).price("openai", "gpt-4o", NOW, MILLION)
    assert alone.cost_reason == reasons.NO_PRICE_SOURCE


def test_modes_have_the_rates_given_for_them_and_no_others(file: Path) -> None:
    source = price_source(file)

    def cost(**changes: Any) -> Decimal | str | None:
        usage = Usage(**{"input_tokens": 1_000_000, "output_tokens": 0, **changes})
        priced = source.price("anthropic", "claude-opus-4-8", NOW, usage)
        return priced.cost_reason if priced.cost_usd is None else priced.cost_usd

    assert cost(service_tier="batch") == Decimal(2)
    assert cost(service_tier="batch", output_tokens=1) == reasons.RATE_UNKNOWN
    assert cost(speed="fast") == reasons.FAST_MODE_UNPRICED
    assert cost(inference_geo="us") == reasons.INFERENCE_GEO_UNPRICED
    assert cost(cache_read_tokens=1) == reasons.RATE_UNKNOWN
    assert cost(input_tokens=2_000_001) == Decimal("18.000009")


def test_a_number_in_a_file_is_taken_as_written(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(
        '{"providers": {"anthropic": {"m": {"input": 0.1, "output": 0.000001}}}}', encoding="utf-8"
    )
    usage = Usage(input_tokens=3, output_tokens=1)
    priced = PriceOverrides.from_file(path).price("anthropic", "m", NOW, usage)
    assert priced.cost_usd == Decimal("0.000000300001")
    assert priced.rates == {"tier": "standard", "input": "0.1", "output": "0.000001"}


def test_a_mapping_does_as_well() -> None:
    content = {"providers": {"anthropic": {"m*": {"input": "2.5", "output": 10}}}}
    source = PriceOverrides(content, name="contract", fallback=GenaiPrices())
    priced = source.price("anthropic", "m-1", NOW, MILLION)
    assert priced.cost_usd == Decimal("2.5")
    assert str(priced.price_source).startswith("overrides:contract@sha256:")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, "has no rate"),
        ({"input": 2.5}, "a float; write an exact number"),
        ({"input": True}, "a bool; write an exact number"),
        ({"input": "two"}, "'two', which is not a number"),
        ({"input": "-1"}, "0 or more"),
        ({"input": "NaN"}, "finite"),
        ({"input": "0.0000001"}, "at most 6 decimal places"),
        ({"web_search": "0.0000000001"}, "at most 9 decimal places"),
        ({"input": "1e9"}, "below a thousand million"),
        ({"inputs": "1"}, "inputs is not known here; use batch, cache_read"),
        ({"input": "1", "batch": "0.5"}, "batch is a str, not a table"),
        ({"input": "1", "long_context": {"input": "2"}}, "above_input_tokens is None"),
        ({"input": "1", "long_context": {"above_input_tokens": 0, "input": "2"}}, "above_input_tokens is 0"),
        ("cheap", "is a str, not a table"),
    ],
)
def test_a_bad_rate_is_named_with_its_place(model: object, message: str) -> None:
    with pytest.raises(AuditSettingsError, match=message) as caught:
        PriceOverrides({"providers": {"anthropic": {"claude-x": model}}}, name="prices.toml")
    assert "claude-x" in str(caught.value)
    assert "prices.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "providers is a NoneType, not a table"),
        ({"providers": {}, "models": {}}, "models is not known here"),
        ({"providers": {"anthropic": {"claude-*-4": {"input": "1"}}}}, "before its end"),
    ],
)
def test_a_bad_form_is_named(content: dict[str, object], message: str) -> None:
    with pytest.raises(AuditSettingsError, match=message):
        PriceOverrides(content)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "[providers", "not readable as .toml"),
        ("a.json", "{", "not readable as .json"),
        ("b.json", "[]", "is a list, not a table"),
        ("c.json", json.dumps({"providers": {}})[:-1] + ', "providers": {}}', "stands twice"),
        ("d.toml", None, "cannot be read: No such file"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(AuditSettingsError, match=message) as caught:
        price_source(path)
    assert name in str(caught.value)
