"""What a batch's calls used and cost, reckoned by column; :mod:`llm_audit_consumer.spending` has it row by row."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from llm_audit_consumer.columnar.arrays import Flags, Numbers
from llm_audit_consumer.columnar.reading import NULL, Columns
from llm_audit_consumer.columnar.texts import rows_by_text
from llm_audit_consumer.spending import TOKEN_FIELDS, Spending
from llm_audit_schemas import UNATTRIBUTED

_UNATTRIBUTED = np.frombuffer(UNATTRIBUTED.encode(), np.uint8)
_COST_SCALE = -12


def spending_of_columns(columns: Columns) -> Spending:
    """What the calls of a batch used and cost."""
    spending = Spending()
    models, model_of_row = _models(columns)
    for name, kind in TOKEN_FIELDS.items():
        for model, tokens in zip(models, _sums(columns, name, model_of_row, len(models)), strict=True):
            if tokens:
                spending.tokens[model, kind] += round(tokens)
    known = columns.sizes[columns.place_of("cost_usd")] != NULL
    priced = np.bincount(model_of_row[known], minlength=len(models)).tolist()
    unpriced = np.bincount(model_of_row[~known], minlength=len(models)).tolist()
    costs = _sums(columns, "cost_usd", model_of_row, len(models))
    for model, calls, cost, without in zip(models, priced, costs, unpriced, strict=True):
        if calls:
            spending.cost_usd[model] += Decimal(round(cost)).scaleb(_COST_SCALE)
        if without:
            spending.without_cost[model] += without
    spending.unattributed = int(_nobody_named(columns).sum())
    return spending


def _models(columns: Columns) -> tuple[list[str | None], Numbers]:
    """The models there are, and which of them each row has."""
    models: list[str | None] = []
    of_row = np.zeros(len(columns), np.int64)
    for model, rows in rows_by_text(columns, "model"):
        of_row[rows] = len(models)
        models.append(model)
    return models, of_row


def _sums(columns: Columns, name: str, model_of_row: Numbers, models: int) -> list[float]:
    """The sum of a column by model. What is null, or below zero, which no API reports, counts as nothing."""
    number = columns.place_of(name)
    counts = (columns.sizes[number] != NULL) & (columns.values[number] > 0)
    # Floats: the sum of hostile figures would go round in an int64.
    sums = np.bincount(model_of_row[counts], columns.values[number][counts].astype(np.float64), models)
    return [float(each) for each in sums]


def _nobody_named(columns: Columns) -> Flags:
    """The rows whose user says that nobody was named, among those whose user is as long."""
    number, length = columns.place_of("user_id"), len(_UNATTRIBUTED)
    starts = columns.values[number][columns.sizes[number] == length]
    same: Flags = (columns.data[starts[:, None] + np.arange(length)] == _UNATTRIBUTED).all(axis=1)
    return same
