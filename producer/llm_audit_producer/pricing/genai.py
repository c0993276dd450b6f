"""List prices from the ``genai-prices`` package. The only file that knows it, and it imports it late.

The import takes 140 to 205 ms, so it happens at the first price, which the producer asks for on a background
thread. Only rates are taken from the package; the arithmetic is ours, because its ``input_tokens`` include cache
tokens and ours do not, and because it prices a mode it has no rates for as if it were the standard one.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_audit_producer.pricing import reasons
from llm_audit_producer.pricing.rates import Rates, RateTable
from llm_audit_producer.pricing.source import Priced, price_usage
from llm_audit_producer.pricing.usage import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, PriceCalculation

logger = logging.getLogger("llm_audit_producer")

Conditions: TypeAlias = tuple[tuple[str, str], ...]
"""As in ``Usage.conditions``."""

_PROVIDERS: Final[Mapping[str, str]] = {
    "aws.bedrock": "aws",
    "gcp.vertex_ai": "google",
    "azure.ai.foundry": "azure",
}
"""Provider names of the contract that the package has another word for."""

_RATE_OF_KEY: Final[Mapping[str, str]] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "web_searches_kcount": "web_search",
}
"""The package's price keys that token counts can be held against."""

_CACHED_TABLES = 1024
"""Most tables kept; a service that makes up model names must not fill the memory."""


class GenaiPrices:
    """Public list prices, as the installed version of ``genai-prices`` knows them."""

    def __init__(self) -> None:
        self._package: ModuleType | None = None
        self._missing = False
        self._name = "genai-prices"
        self._tables: dict[tuple[str, str, date, Conditions], RateTable | str] = {}

    def price(
        self, provider: str, model: str | None, at: datetime, usage: Usage, *, region: str | None = None
    ) -> Priced:
        """The price of one call; see :meth:`~llm_audit_producer.pricing.source.PriceSource.price`."""
        objection = usage.objection
        if objection is not None:
            return Priced(cost_reason=objection)
        if self._package is None and not self._load():
            return Priced(cost_reason=reasons.NO_PRICE_SOURCE)
        if provider == "gcp.vertex_ai" and region != "global":
            # The package lists the global endpoint; the others cost a tenth more, for some models.
            return Priced(cost_reason=reasons.REGION_UNPRICED, price_source=self._name)
        conditions = usage.conditions
        return price_usage(usage, model, lambda name: self._table(provider, name, at, conditions), self._name)

    def _load(self) -> bool:
        if self._missing:
            return False
        try:
            self._package = importlib.import_module("genai_prices")
        except ImportError:
            self._missing = True
            logger.warning(
                "llm-audit: genai-prices is not installed, so entries carry no cost; "
                "install llm-audit-log[anthropic] or give a file of price overrides"
            )
            return False
        self._name = f"genai-prices/{self._package.__version__}"
        return True

    def _table(self, provider: str, model: str, at: datetime, conditions: Conditions) -> RateTable | str:
        key = (provider, model, at.astimezone(UTC).date(), conditions)
        table = self._tables.get(key)
        if table is None:
            table, lasts_all_day = self._look_up(provider, model, at, conditions)
            if lasts_all_day:
                if len(self._tables) >= _CACHED_TABLES:
                    self._tables.clear()
                self._tables[key] = table
        return table

    def _look_up(
        self, provider: str, model: str, at: datetime, conditions: Conditions
    ) -> tuple[RateTable | str, bool]:
        """The rates at a time, or a reason, and whether they hold for that whole UTC day."""
        if provider == "aws.bedrock" and "anthropic." not in model:
            # A bare model name, or the ARN of a profile, does not say which endpoint served it.
            return reasons.UNKNOWN_MODEL, True
        try:
            found = self._ask(provider, model, at, conditions)
            if not _conditions_known(found, at, conditions):
                return reasons.of_conditions(conditions), not _varies_by_hour(found.model)
            return _rate_table(found, conditions), not _varies_by_hour(found.model)
        except LookupError:
            return reasons.UNKNOWN_MODEL, True
        except Exception:  # a price must never cost the entry
            logger.exception("llm-audit: genai-prices failed for model %r of %r", model, provider)
            return reasons.PRICE_SOURCE_FAILED, True

    def _ask(self, provider: str, model: str, at: datetime, conditions: Conditions) -> PriceCalculation:
        assert self._package is not None  # noqa: S101 - loaded by price()
        package: Any = self._package
        found: PriceCalculation = package.calc_price(
            package.Usage(input_tokens=0, output_tokens=0),
            model,
            provider_id=_PROVIDERS.get(provider, provider),
            genai_request_timestamp=at,
            price_context=dict(conditions),
        )
        return found


def _conditions_known(found: PriceCalculation, at: datetime, conditions: Conditions) -> bool:
    """Whether the package has rates for exactly these conditions; without, it answers with the standard ones."""
    if not conditions:
        return True
    if not any(model is found.model for model in found.provider.models):
        return False  # found at a fallback provider, where the package leaves variants out
    wanted = dict(conditions)
    return any(
        variant.when == wanted and (variant.constraint is None or variant.constraint.active(at))
        for variant in found.model.price_variants or ()
    )


def _varies_by_hour(model: ModelInfo) -> bool:
    """Whether a price of the model has a constraint other than a start date, such as an off-peak discount."""
    prices = model.prices if isinstance(model.prices, list) else []
    constraints = [price.constraint for price in prices]
    constraints += [variant.constraint for variant in model.price_variants or ()]
    return any(constraint is not None and not hasattr(constraint, "start_date") for constraint in constraints)


def _rate_table(found: PriceCalculation, conditions: Conditions) -> RateTable | str:
    prices = {key: price for key, price in vars(found.model_price).items() if price is not None}
    if not prices.keys() <= _RATE_OF_KEY.keys():
        return reasons.RATES_UNSUPPORTED
    tier = "_".join(value for _, value in conditions) or "standard"
    thresholds = sorted({step.start for price in prices.values() for step in getattr(price, "tiers", ())})
    return RateTable(
        _rates(prices, 0, tier),
        tuple(
            (threshold, _rates(prices, threshold, f"{tier}_above_{threshold}")) for threshold in thresholds
        ),
    )


def _rates(prices: Mapping[str, Any], threshold: int, tier: str) -> Rates:
    """The rates above a threshold of a model's prices, each a decimal or one with tiers."""
    rates: dict[str, Decimal] = {}
    for key, price in prices.items():
        applied = price
        if not isinstance(price, Decimal):
            applied = price.base
            for step in price.tiers:
                if 0 < step.start <= threshold:
                    applied = step.price
        rates[_RATE_OF_KEY[key]] = applied
    return Rates(tier=tier, **rates)
