"""A comparison of price tables as a table and as JSON. Whatever a stored text holds, it is shown harmlessly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TextIO

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_audit_producer.pricing.comparison import COLUMNS, Comparison

_NUMBERS = frozenset({"calls", "changed_calls", "cost_usd", "new_cost_usd", "difference_usd"})
_WIDTH_WITHOUT_TERMINAL = 160


def write_json(found: Iterable[Comparison], file: TextIO) -> None:
    """A JSON array, a row a line: counts as numbers, decimals as text so that they stay exact."""
    rows = [json.dumps({name: _json(getattr(each, name)) for name in COLUMNS}) for each in found]
    file.write("[\n" + ",\n".join(rows) + ("\n]\n" if rows else "]\n"))


def print_table(found: Sequence[Comparison], title: str) -> None:
    """The comparisons on standard output, with their sum below."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), title=Text(title), title_justify="left")
    for column in COLUMNS:
        if column in _NUMBERS:
            # A number is whole, or cut with a sign that it was: digits on two lines read as two numbers.
            table.add_column(column.replace("_", "\n"), no_wrap=True, overflow="ellipsis", justify="right")
        else:
            table.add_column(column.replace("_", " "), overflow="fold")
    for each in found:
        # Text, not str: rich reads markup and emoji codes out of a str.
        table.add_row(*(Text(printable(getattr(each, column))) for column in COLUMNS))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)
    console.print(table)
    click.echo(_summary(found))


def _summary(found: Iterable[Comparison]) -> str:
    total = Comparison()
    for each in found:
        total.add(each)
    return (
        f"{total.calls} calls, {total.changed_calls} of them priced otherwise. "
        f"Stored: {printable(total.cost_usd) or 'nothing'} USD ({total.null_before.total()} without a cost); "
        f"recomputed: {printable(total.new_cost_usd) or 'nothing'} USD ({total.null_after.total()} without); "
        f"difference where both are known: {printable(total.difference_usd) or 'none'} USD. "
        "Nothing was changed."
    )


def printable(value: object) -> str:
    r"""One value for a person to read; control characters and those that turn text around as their code (``\x1b``)."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        digits = f"{value:f}"  # not Decimal.normalize(), which rounds to the context's 28 digits
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if isinstance(value, Mapping):
        return ", ".join(f"{printable(name)} {count}" for name, count in sorted(value.items()))
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def _json(value: object) -> object:
    if isinstance(value, Decimal):
        return printable(value)
    return dict(sorted(value.items())) if isinstance(value, Mapping) else value
