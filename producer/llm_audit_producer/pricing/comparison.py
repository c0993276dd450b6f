"""Two price tables over the same calls: what is stored beside what is recomputed, by model and price source. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal

from llm_audit_producer.pricing.recompute import StoredCall
from llm_audit_producer.pricing.source import Priced

_WIDE = Context(prec=80)
"""A context of our own: sums must not be rounded to the thread's 28 digits."""


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What two tables say of the calls of one model.

    Attributes:
        provider: As in the entry.
        model: The model that answered, else the one that was asked.
        price_source: The table of the stored costs.
        new_price_source: The table of the recomputed ones.
        calls: How many calls there are.
        changed_calls: Those whose cost, or reason for having none, is another than the stored one.
        cost_usd: Sum of the stored costs; ``None`` where no call has one.
        new_cost_usd: Sum of the recomputed costs; ``None`` where no call has one.
        difference_usd: Recomputed less stored, of the calls that have both, so that a price which is missing on one
            side is never taken for a saving; ``None`` where no call has both.
        null_before: Reason to number of calls without a stored cost.
        null_after: Reason to number of calls without a recomputed cost.
    """

    provider: str = ""
    model: str | None = None
    price_source: str | None = None
    new_price_source: str | None = None
    calls: int = 0
    changed_calls: int = 0
    cost_usd: Decimal | None = None
    new_cost_usd: Decimal | None = None
    difference_usd: Decimal | None = None
    null_before: Counter[str] = field(default_factory=Counter)
    null_after: Counter[str] = field(default_factory=Counter)

    def count(self, call: StoredCall, priced: Priced) -> None:
        """Take one call in."""
        old, new = call.cost_usd, priced.cost_usd
        self.calls += 1
        self.changed_calls += (old, call.cost_reason) != (new, priced.cost_reason)
        if old is None:
            self.null_before[call.cost_reason or "no reason stored"] += 1
        else:
            self.cost_usd = _plus(self.cost_usd, old)
        if new is None:
            self.null_after[priced.cost_reason or "no reason given"] += 1
        else:
            self.new_cost_usd = _plus(self.new_cost_usd, new)
        if old is not None and new is not None:
            self.difference_usd = _plus(self.difference_usd, _WIDE.subtract(new, old))

    def add(self, other: Comparison) -> None:
        """Take in all calls of another one."""
        self.calls += other.calls
        self.changed_calls += other.changed_calls
        self.null_before += other.null_before
        self.null_after += other.null_after
        for name in ("cost_usd", "new_cost_usd", "difference_usd"):
            amount = getattr(other, name)
            if amount is not None:
                setattr(self, name, _plus(getattr(self, name), amount))


COLUMNS = tuple(Comparison.__dataclass_fields__)
"""The fields of :class:`Comparison`, in order."""


def compare(calls: Iterable[StoredCall], price: Callable[[StoredCall], Priced]) -> list[Comparison]:
    """Recompute every call; one comparison for each model and pair of price sources, the largest change first.

    Args:
        calls: The stored calls; read once, none is kept.
        price: What the newer table says of one.
    """
    found: dict[tuple[str | None, ...], Comparison] = {}
    for call in calls:
        priced = price(call)
        key = (call.provider, call.model, call.price_source, priced.price_source)
        comparison = found.get(key)
        if comparison is None:
            comparison = found[key] = Comparison(
                provider=call.provider,
                model=call.model,
                price_source=call.price_source,
                new_price_source=priced.price_source,
            )
        comparison.count(call, priced)
    return sorted(found.values(), key=_rank)


def _rank(comparison: Comparison) -> tuple[Decimal, int, str, str, str]:
    return (
        -abs(comparison.difference_usd or Decimal(0)),
        -comparison.changed_calls,
        comparison.provider,
        comparison.model or "",
        f"{comparison.price_source} {comparison.new_price_source}",
    )


def _plus(total: Decimal | None, amount: Decimal) -> Decimal:
    return amount if total is None else _WIDE.add(total, amount)
