"""``PriceSource``: who knows rates; and how usage and rates become a price, the same for every source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Protocol, TypeAlias

from llm_audit_producer.pricing import reasons
from llm_audit_producer.pricing.rates import Rates, RateTable, cost
from llm_audit_producer.pricing.usage import Iteration, Usage
from llm_audit_schemas.entry import COST_QUANTUM
from llm_audit_schemas.text import JsonObject, JsonValue

_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""A context of our own: the thread's may be anything."""

FindRates: TypeAlias = Callable[[str], "RateTable | str"]
"""Looks up a model's rates under the call's conditions; a reason word where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a call costs, or why that is not known.

    Attributes:
        cost_usd: US dollars, at the contract's twelve decimal places; ``None`` when not known.
        cost_reason: A word of :mod:`~llm_audit_producer.pricing.reasons` when ``cost_usd`` is ``None``.
        price_source: The price table that was asked, with its version; ``None`` when none was.
        rates: The rates applied, for ``details.price_rates``: US dollars per million tokens, ``web_search`` per
            thousand. Other models' rates (an advisor's) stand under ``models``.
    """

    cost_usd: Decimal | None = None
    cost_reason: str | None = None
    price_source: str | None = None
    rates: JsonObject | None = None


class PriceSource(Protocol):
    """Something that knows what models cost."""

    def price(
        self, provider: str, model: str | None, at: datetime, usage: Usage, *, region: str | None = None
    ) -> Priced:
        """The price of one call. Never raises: what is not known gives a reason.

        Args:
            provider: As in the entry: ``anthropic``, ``aws.bedrock`` ...
            model: The model to bill; see :func:`billed_model`.
            at: When the call started, with a timezone; rates are those of that time.
            usage: What was used.
            region: Region of the platform's endpoint, such as ``global``, where the caller knows it.
        """
        ...


class NoPrices:
    """Knows nothing: every call that used something has the reason ``no_price_source``."""

    def price(
        self,
        provider: str,  # noqa: ARG002 - the protocol's arguments
        model: str | None,  # noqa: ARG002
        at: datetime,  # noqa: ARG002
        usage: Usage,
        *,
        region: str | None = None,  # noqa: ARG002
    ) -> Priced:
        """No price; see :meth:`PriceSource.price`."""
        return Priced(cost_reason=usage.objection or reasons.NO_PRICE_SOURCE)


def billed_model(provider: str, requested: str | None, answered: str | None) -> str | None:
    """The model name that a price goes by.

    That is the model that answered; but on Bedrock the name that was asked for, because only that says whether the
    endpoint was global or regional, which differ in price.
    """
    if provider == "aws.bedrock":
        return requested or answered
    return answered or requested


def price_usage(usage: Usage, model: str | None, find_rates: FindRates, source: str) -> Priced:
    """The price of ``usage`` at the rates that ``find_rates`` knows, under the name of ``source``."""
    reason = usage.objection
    if reason is not None:
        return Priced(cost_reason=reason)
    if not model:
        return Priced(cost_reason=reasons.UNKNOWN_MODEL)
    table = find_rates(model)
    if isinstance(table, str):
        return Priced(cost_reason=table, price_source=source)
    if usage.iterations:
        return _price_iterations(usage, model, table, find_rates, source)
    rates = table.rates_for(usage.prompt_tokens)
    return _priced(cost(usage, rates), rates.as_json(), source)


def _priced(amount: Decimal | None, rates: JsonObject, source: str) -> Priced:
    if amount is None:
        return Priced(cost_reason=reasons.RATE_UNKNOWN, price_source=source, rates=rates)
    return Priced(cost_usd=amount.quantize(COST_QUANTUM, context=_WIDE), price_source=source, rates=rates)


def _price_iterations(
    usage: Usage, model: str, table: RateTable, find_rates: FindRates, source: str
) -> Priced:
    """The price of a call of several samplings: each at its own model's rates, searches at the call's.

    Sources: https://platform.claude.com/docs/en/build-with-claude/compaction ("sum across all entries in the
    usage.iterations array", summaries being made by the call's own model) and
    https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool (advisor iterations are billed at the
    advisor model's rates).
    """
    reason = _iterations_objection(usage, model, table)
    if reason is not None:
        return Priced(cost_reason=reason, price_source=source)
    own = table.rates_for(usage.prompt_tokens)
    others: dict[str, JsonValue] = {}
    total: Decimal | None = cost(Usage(web_searches=usage.web_searches), own)
    for iteration in usage.iterations:
        rates = own
        if iteration.kind == "advisor_message":
            advisor = _advisor_rates(iteration, usage, find_rates)
            if isinstance(advisor, str):
                return Priced(cost_reason=advisor, price_source=source)
            rates = advisor
            others[str(iteration.model)] = rates.as_json()
        amount = cost(iteration, rates)
        total = None if total is None or amount is None else _WIDE.add(total, amount)
    applied = own.as_json()
    if others:
        applied["models"] = others
    return _priced(total, applied, source)


def _advisor_rates(iteration: Iteration, usage: Usage, find_rates: FindRates) -> Rates | str:
    """An advisor's rates, or a reason: whether a call's batch discount or speed reaches its advisor is not said."""
    if iteration.model is None or usage.conditions:
        return reasons.ADVISOR_UNPRICED
    table = find_rates(iteration.model)
    return reasons.ADVISOR_UNPRICED if isinstance(table, str) else table.rates_for(iteration.prompt_tokens)


def _iterations_objection(usage: Usage, model: str, table: RateTable) -> str | None:
    """Why a call's iterations cannot be priced: they do not add up, or could fall under two tiers."""
    own = [iteration for iteration in usage.iterations if iteration.kind != "advisor_message"]
    messages = [iteration for iteration in own if iteration.kind == "message"]
    if any(iteration.model not in (None, model) for iteration in own):
        return reasons.FALLBACK_UNPRICED
    if sum(iteration.output_tokens or 0 for iteration in messages) != usage.output_tokens:
        return reasons.USAGE_INCONSISTENT
    if len(own) != len(messages) and usage.conditions:
        return reasons.COMPACTION_UNPRICED
    tiers = {table.rates_for(iteration.prompt_tokens) for iteration in own}
    tiers.add(table.rates_for(usage.prompt_tokens))
    return reasons.ITERATION_UNPRICED if len(tiers) > 1 else None
