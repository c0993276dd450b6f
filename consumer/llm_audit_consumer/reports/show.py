"""Answers as a table, as JSON, as CSV. Whatever a stored text holds, it is shown harmlessly."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from llm_audit_consumer.reports.run import Row

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


_WIDTH_WITHOUT_TERMINAL = 120


def screen() -> Console:
    """Standard output: as wide as the terminal, or a fixed width where a file or pipe takes it."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_WITHOUT_TERMINAL)


def table(columns: Sequence[str], rows: Iterable[Row]) -> Table:
    """A table for a terminal; control characters are shown as their code, markup as text."""
    found = Table(box=SIMPLE)
    for column in columns:
        found.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        found.add_row(*(escape(printable(row[column])) for column in columns))
    return found


def printable(value: object) -> str:
    """One value for a person to read."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", plain(value))


def plain(value: object) -> str:
    """One value as text: decimals exact and without needless zeros, nothing for what is not known."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def write_json(rows: Iterable[Row], file: TextIO) -> None:
    """A JSON array, a row a line; decimals as text, so that they stay exact."""
    file.write("[")
    separator = "\n"
    for row in rows:
        file.write(
            separator + json.dumps({name: _json(value) for name, value in row.items()}, ensure_ascii=True)
        )
        separator = ",\n"
    file.write("\n]\n")


def write_csv(columns: Sequence[str], rows: Iterable[Row], file: TextIO) -> None:
    """CSV with a heading; a text that a spreadsheet would run as a formula gets a quote before it."""
    writer = csv.writer(file)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])


def _cell(value: object) -> str:
    text = plain(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA_STARTS) else text


def _json(value: object) -> object:
    return plain(value) if isinstance(value, Decimal | date | datetime) else value
