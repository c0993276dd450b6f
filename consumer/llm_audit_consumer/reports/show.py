"""Answers as a table, as JSON, as CSV. Whatever a stored text holds, it is shown harmlessly."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_audit_consumer.reports.run import Row

# OWASP, "CSV Injection": also the full-width forms, which some spreadsheets take for the plain ones.
_FORMULA_STARTS = tuple("=+-@＝＋－＠")  # noqa: RUF001 - the full-width forms are meant

_WIDTH_WITHOUT_TERMINAL = 120
_LEAST_TEXT_WIDTH = 16
_ANY_WIDTH = 100_000


def screen() -> Console:
    """Standard output: as wide as the terminal, or a fixed width where a file or pipe takes it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def table(columns: Sequence[str], rows: Iterable[Row], *, title: str | None = None) -> Table:
    """A table for a terminal; stored text stands as it is, and what is not printable as its code."""
    shown = list(rows)
    found = Table(
        box=SIMPLE, padding=(0, 1, 0, 0), title=None if title is None else Text(title), title_justify="left"
    )
    for column in columns:
        if any(isinstance(row[column], int | Decimal) for row in shown):
            # A number is whole, or cut with a sign that it was: digits on two lines read as two numbers.
            found.add_column(column.replace("_", "\n"), no_wrap=True, overflow="ellipsis", justify="right")
        else:
            longest = max((len(printable(row[column])) for row in shown), default=0)
            least = min(longest, _LEAST_TEXT_WIDTH)
            found.add_column(column.replace("_", " "), overflow="fold", min_width=least)
    for row in shown:
        # Text, not str: rich reads markup and emoji codes (`:warning:`) out of a str.
        found.add_row(*(Text(printable(row[column])) for column in columns))
    return found


def fitting(
    console: Console, columns: Sequence[str], rows: Sequence[Row], spare: Sequence[str], *, title: str | None
) -> tuple[Table, Sequence[str]]:
    """A table that is as wide as the console at most, if leaving out spare columns can make it so.

    Args:
        console: Where it is to be shown.
        columns: The columns, in order.
        rows: The rows.
        spare: Columns that may be left out, the least needed first.
        title: What stands above it.

    Returns:
        The table, and which columns it had to leave out.
    """
    unbounded = console.options.update(width=_ANY_WIDTH)
    found, left_out = table(columns, rows, title=title), list[str]()
    for column in spare:
        if console.measure(found, options=unbounded).minimum <= console.width:
            break
        if column in columns:
            left_out.append(column)
            found = table([each for each in columns if each not in left_out], rows, title=title)
    return found, left_out


def printable(value: object) -> str:
    r"""One value for a person to read.

    Control characters, terminal escapes, characters without width and those that turn the direction of text are
    shown as their code (``\x1b``, ``\u202e``).
    """
    text = plain(value)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _code(each) for each in text)


def _code(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def plain(value: object) -> str:
    """One value as text: decimals exact and without needless zeros, nothing for what is not known."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        # Not Decimal.normalize(), which rounds to the context's 28 digits.
        digits = f"{value:f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(count)}" for name, count in value.items())
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def write_json(rows: Iterable[Row], file: TextIO) -> None:
    """A JSON array, a row a line: counts as numbers, decimals as text so that they stay exact, texts unaltered."""
    file.write("[")
    separator = "\n"
    for row in rows:
        file.write(
            separator + json.dumps({name: _json(value) for name, value in row.items()}, ensure_ascii=True)
        )
        separator = ",\n"
    file.write("\n]\n")


def write_csv(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """CSV with a heading, a row a line, for spreadsheets; for the exact texts take JSON.

    A text that a spreadsheet would run as a formula gets a quote before it, and what is not printable is shown as its
    code, as in the table.
    """
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: object) -> str:
    text = printable(value)
    if isinstance(value, str | Mapping) and text.lstrip().startswith(_FORMULA_STARTS):
        return f"'{text}"
    return text


def _json(value: object) -> object:
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return int(value)  # a sum of whole numbers, which PostgreSQL makes a numeric
    return plain(value) if isinstance(value, Decimal | date | datetime) else value
