"""Rates, and what a number of tokens costs at them. Pure and exact."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow

from llm_audit_producer.pricing.usage import TokenCounts
from llm_audit_schemas.text import JsonValue

_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Overflow, Clamped])
"""Raises where a result would be rounded; 80 digits hold any 64-bit count times any rate."""

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a model costs under one set of conditions; ``None`` where that is not known.

    Attributes:
        input: US dollars per million input tokens that touched no cache.
        output: US dollars per million output tokens, thinking included.
        cache_read: US dollars per million tokens read from the prompt cache.
        cache_write_5m: US dollars per million tokens written to the five-minute cache.
        cache_write_1h: US dollars per million tokens written to the one-hour cache.
        web_search: US dollars per thousand web searches.
        tier: Which of the model's rates these are: ``standard``, ``batch``, ``fast`` ..., with
            ``_above_N`` for those of prompts longer than N tokens.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    web_search: Decimal | None = None
    tier: str = "standard"

    def as_json(self) -> dict[str, JsonValue]:
        """The known rates as JSON, exact (as text), for ``details.price_rates``."""
        known: dict[str, JsonValue] = {"tier": self.tier}
        for name in RATE_NAMES:
            rate: Decimal | None = getattr(self, name)
            if rate is not None:
                known[name] = str(rate)
        return known


RATE_NAMES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search")
"""The rates of :class:`Rates`."""


@dataclass(frozen=True, slots=True)
class RateTable:
    """A model's rates by length of the prompt.

    Attributes:
        base: Rates of prompts up to the first threshold.
        long_prompts: Thresholds in tokens, ascending, each with the rates of *all* tokens of a call whose prompt
            is longer.
    """

    base: Rates
    long_prompts: tuple[tuple[int, Rates], ...] = ()

    def rates_for(self, prompt_tokens: int) -> Rates:
        """The rates of a call whose prompt, cached parts included, has this many tokens."""
        applied = self.base
        for threshold, rates in self.long_prompts:
            if prompt_tokens > threshold:
                applied = rates
        return applied


def cost(counts: TokenCounts, rates: Rates) -> Decimal | None:
    """US dollars for ``counts`` at ``rates``, exact; ``None`` when something was used whose rate is not known.

    Counts that were not reported cost nothing here; whether enough was reported is the caller's question.
    Thinking tokens are part of the output tokens and have no count of their own.
    """
    millionths = _ZERO
    for count, rate in (
        (counts.input_tokens, rates.input),
        (counts.output_tokens, rates.output),
        (counts.cache_read_tokens, rates.cache_read),
        (counts.cache_write_5m_tokens, rates.cache_write_5m),
        (counts.cache_write_1h_tokens, rates.cache_write_1h),
    ):
        if count:
            if rate is None:
                return None
            millionths = _EXACT.fma(rate, count, millionths)
    total = _EXACT.scaleb(millionths, -6)
    if counts.web_searches:
        if rates.web_search is None:
            return None
        total = _EXACT.add(total, _EXACT.scaleb(_EXACT.multiply(rates.web_search, counts.web_searches), -3))
    return total
