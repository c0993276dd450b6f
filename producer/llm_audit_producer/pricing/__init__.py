"""What a call costs: exact, with its source and rates, or null with a reason. Never a guess.

``usage_of`` says what was used, a :class:`PriceSource` what that costs. Importing this loads no price table;
the first price does.
"""

from __future__ import annotations

from pathlib import Path

from llm_audit_producer.pricing.genai import GenaiPrices
from llm_audit_producer.pricing.overrides import PriceOverrides
from llm_audit_producer.pricing.rates import Rates, RateTable, cost
from llm_audit_producer.pricing.reasons import REASONS
from llm_audit_producer.pricing.source import NoPrices, Priced, PriceSource, billed_model
from llm_audit_producer.pricing.usage import Iteration, TokenCounts, Usage, usage_of

__all__ = [
    "REASONS",
    "GenaiPrices",
    "Iteration",
    "NoPrices",
    "PriceOverrides",
    "PriceSource",
    "Priced",
    "RateTable",
    "Rates",
    "TokenCounts",
    "Usage",
    "billed_model",
    "cost",
    "price_source",
    "usage_of",
]


def price_source(overrides: Path | str | None = None) -> PriceSource:
    """The usual source: negotiated prices from a file where there is one, list prices for the rest.

    Raises:
        AuditSettingsError: the file cannot be read or understood.
    """
    listed = GenaiPrices()
    return listed if overrides is None else PriceOverrides.from_file(overrides, fallback=listed)
