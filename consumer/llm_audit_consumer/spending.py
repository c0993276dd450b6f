"""What a batch's calls used and cost, by model, for the metrics."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from llm_audit_consumer.metrics import Metrics
from llm_audit_schemas import UNATTRIBUTED
from llm_audit_schemas.codec import Record

TOKEN_FIELDS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write",
    "cache_write_1h_tokens": "cache_write",
}
"""Field to kind. Thinking tokens are part of the output's and have no kind of their own: the kinds add up."""


@dataclass(slots=True)
class Spending:
    """What calls used and cost.

    Attributes:
        tokens: Tokens by model and kind, as the API reported them.
        cost_usd: US dollars by model, of the calls whose cost is known.
        without_cost: Calls by model whose cost is not known.
        unattributed: Calls for which nobody was named.
    """

    tokens: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    cost_usd: defaultdict[str | None, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    without_cost: Counter[str | None] = field(default_factory=Counter)
    unattributed: int = 0

    def add(self, row: Record) -> None:
        """Count a row. What is below zero, which no API reports, counts as nothing: a counter never falls."""
        model = row["model"]
        for name, kind in TOKEN_FIELDS.items():
            if row[name]:
                self.tokens[model, kind] += max(0, row[name])
        if row["cost_usd"] is None:
            self.without_cost[model] += 1
        else:
            self.cost_usd[model] += max(Decimal(0), row["cost_usd"])
        self.unattributed += row["user_id"] == UNATTRIBUTED

    def report(self, metrics: Metrics) -> None:
        """Add it to the metrics."""
        for (model, kind), tokens in self.tokens.items():
            metrics.tokens.labels(metrics.model_label(model), kind).inc(tokens)
        for model, cost in self.cost_usd.items():
            metrics.cost.labels(metrics.model_label(model)).inc(float(cost))
        for model, calls in self.without_cost.items():
            metrics.without_cost.labels(metrics.model_label(model)).inc(calls)
        metrics.unattributed.inc(self.unattributed)


def spending_of(rows: Iterable[Record]) -> Spending:
    """What the calls of rows used and cost."""
    spending = Spending()
    for row in rows:
        spending.add(row)
    return spending
