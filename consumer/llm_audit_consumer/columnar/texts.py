"""Columns of text that have few different values, such as models and statuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from llm_audit_consumer.columnar.arrays import Flags, unaligned
from llm_audit_consumer.columnar.reading import NULL, Columns

_FEW = 64


def text_is(columns: Columns, name: str, text: bytes, rows: NDArray[np.intp]) -> Flags:
    """Of each of some rows, whether a column has this very text."""
    number = columns.place_of(name)
    same: Flags = columns.sizes[number, rows] == len(text)
    if text:
        alike = np.flatnonzero(same)
        found = unaligned(columns.data, f"V{len(text)}")[columns.values[number, rows[alike]]]
        characters = found.view(np.uint8).reshape(-1, len(text))
        same[alike] = (characters == np.frombuffer(text, np.uint8)).all(axis=1)
    return same


def rows_by_text(columns: Columns, name: str) -> Iterator[tuple[str | None, NDArray[np.intp]]]:
    """Each text of a column, and the rows that have it."""
    sizes = columns.sizes[columns.place_of(name)]
    nulls = np.flatnonzero(sizes == NULL)
    if nulls.size:
        yield None, nulls
    left = np.flatnonzero(sizes != NULL)
    for _ in range(_FEW):
        if not left.size:
            return
        text = _text(columns, name, int(left[0]))
        same = text_is(columns, name, text, left)
        yield text.decode(errors="replace"), left[same]
        left = left[~same]
    others: dict[bytes, list[int]] = {}
    for row in left.tolist():
        others.setdefault(_text(columns, name, row), []).append(row)
    for text, rows in others.items():
        yield text.decode(errors="replace"), np.array(rows, np.intp)


def _text(columns: Columns, name: str, row: int) -> bytes:
    number = columns.place_of(name)
    start = int(columns.values[number, row])
    return columns.data[start : start + int(columns.sizes[number, row])].tobytes()
