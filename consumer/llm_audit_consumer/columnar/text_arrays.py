"""Arrays of texts, from Avro to PostgreSQL's ``text[]`` (``array_recv``): few and often alike, so one by one.

Those that come here have been read already: one block of texts at most, and the zero after it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np

from llm_audit_consumer.columnar.layout import Kind
from llm_audit_consumer.columnar.reading import NULL, Columns

_TEXT_OID = 25
_EMPTY = struct.pack(">iiI", 0, 0, _TEXT_OID)


_MOST_CACHED_BYTES = 512

Result = TypeVar("Result")


def text_arrays(columns: Columns) -> dict[tuple[int, int], bytes]:
    """Each array of texts as ``text[]``, by column and row."""
    return _by_cell(columns, _cached_text_array, _text_array)


def rows_with_nul_in_array(columns: Columns) -> list[int]:
    """The rows that have a NUL character in an array of texts, which PostgreSQL does not take."""
    found = _by_cell(columns, _cached_holds_nul, _holds_nul)
    return [row for (_, row), holds_nul in found.items() if holds_nul]


def _by_cell(
    columns: Columns, cached: Callable[[bytes], Result], uncached: Callable[[bytes], Result]
) -> dict[tuple[int, int], Result]:
    found: dict[tuple[int, int], Result] = {}
    data = columns.data.data
    for number, column in enumerate(columns.layout):
        if column.kind is Kind.TEXTS:
            sizes, values = columns.sizes[number], columns.values[number]
            rows = np.flatnonzero(sizes != NULL)
            for row, start, size in zip(
                rows.tolist(), values[rows].tolist(), sizes[rows].tolist(), strict=True
            ):
                convert = cached if size <= _MOST_CACHED_BYTES else uncached
                found[number, row] = convert(bytes(data[start : start + size]))
    return found


def _text_array(avro: bytes) -> bytes:
    elements = list(_elements(avro))
    if not elements:
        return _EMPTY
    header = struct.pack(
        ">iiIii", 1, 0, _TEXT_OID, len(elements), 1
    )  # one dimension, no nulls, counted from 1
    return header + b"".join(struct.pack(">i", len(each)) + each for each in elements)


def _holds_nul(avro: bytes) -> bool:
    return any(b"\0" in each for each in _elements(avro))


_cached_text_array = lru_cache(maxsize=4096)(_text_array)
_cached_holds_nul = lru_cache(maxsize=4096)(_holds_nul)


def _elements(avro: bytes) -> Iterator[bytes]:
    count, at = _long(avro, 0)
    for _ in range(count):
        length, start = _long(avro, at)
        at = start + length
        yield avro[start:at]


def _long(avro: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = avro[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value >> 1, at
