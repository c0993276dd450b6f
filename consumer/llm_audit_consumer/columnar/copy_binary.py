"""Columns in PostgreSQL's binary COPY format (manual, "COPY", section "Binary Format"; values as their ``recv`` reads).

A row is the number of its fields and the fields; a field is the length of its bytes (-1 for null) and the bytes. All
numbers are big-endian. Where each field of each row will lie is reckoned first; then each column goes to its places.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from llm_audit_consumer.columnar.arrays import Bytes, Numbers, Sizes, unaligned
from llm_audit_consumer.columnar.copied import CopiedBytes, copied_columns, runs
from llm_audit_consumer.columnar.layout import Kind
from llm_audit_consumer.columnar.reading import NULL, Columns
from llm_audit_consumer.columnar.text_arrays import text_arrays

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # no flags, no header extension
_TRAILER = b"\xff\xff"
_COUNT_BYTES = 2
_LENGTH_BYTES = 4
_JSONB_VERSION = 1
_POSTGRES_EPOCH = 946_684_800_000_000  # 2000-01-01, in microseconds since 1970

# numeric_recv: count of digits, weight of the first, sign, scale, then the digits, of base 10,000. With the scale 12
# three of them stand after the point, and an int64 has at most two before it. PostgreSQL drops zeros in front.
_SCALE = 12
_SCALE_DIGITS = 3
_NUMERIC_DIGITS = 5
_BASE = 10_000
_NEGATIVE = 0x4000

_VALUE_BYTES: Mapping[Kind, int] = {
    Kind.LONG: 8,
    Kind.INT: 4,
    Kind.BOOLEAN: 1,
    Kind.TIME: 8,
    Kind.UUID: 16,
    Kind.DECIMAL: 8 + 2 * _NUMERIC_DIGITS,
}
"""Bytes of a value of a kind whose values are all of one length."""

_NUMBER_TYPES: Mapping[Kind, str] = {Kind.LONG: ">i8", Kind.INT: ">i4", Kind.BOOLEAN: ">u1", Kind.TIME: ">i8"}


def copy_binary(columns: Columns, copied: CopiedBytes) -> memoryview:
    """The rows, ready for ``COPY ... FROM STDIN WITH (FORMAT binary)``.

    Args:
        columns: The rows, in which nothing may be that PostgreSQL has no form for.
        copied: Their copied bytes.
    """
    arrays = text_arrays(columns)
    lengths = _lengths(columns, arrays)
    places, end = _places(lengths)
    out = np.empty(end + len(_TRAILER), np.uint8)
    out[: len(_HEADER)] = np.frombuffer(_HEADER, np.uint8)
    out[end:] = np.frombuffer(_TRAILER, np.uint8)
    unaligned(out, ">i2")[places[0] - _COUNT_BYTES] = len(columns.layout)
    unaligned(out, "<i4")[places] = lengths.byteswap()
    places += _LENGTH_BYTES
    _put_copied(out, columns, copied, places)
    for number, column in enumerate(columns.layout):
        if column.kind in _VALUE_BYTES:
            rows = slice(None) if column.null is None else np.flatnonzero(lengths[number] != NULL)
            _put_values(out, places[number][rows], columns, number, rows)
    for (number, row), array in arrays.items():
        place = places[number, row]
        out[place : place + len(array)] = np.frombuffer(array, np.uint8)
    return out.data


def _lengths(columns: Columns, arrays: Mapping[tuple[int, int], bytes]) -> Sizes:
    """The length of each field as the COPY will have it, by column and row."""
    lengths = columns.sizes.copy()
    for number, column in enumerate(columns.layout):
        if column.kind in _VALUE_BYTES:
            lengths[number][lengths[number] != NULL] = _VALUE_BYTES[column.kind]
        elif column.kind is Kind.JSON:
            lengths[number][lengths[number] != NULL] += 1  # jsonb's version
    for place, array in arrays.items():
        lengths[place] = len(array)
    return lengths


def _places(lengths: Sizes) -> tuple[Numbers, int]:
    """Where each field begins, by column and row, and where the last row ends."""
    widths = np.maximum(lengths, 0) + _LENGTH_BYTES
    places = np.cumsum(widths, axis=0, dtype=np.int64)
    ends = np.cumsum(places[-1] + _COUNT_BYTES) + len(_HEADER)
    places += ends - places[-1] - widths
    return places, int(ends[-1]) if ends.size else len(_HEADER)


def _put_copied(out: Bytes, columns: Columns, copied: CopiedBytes, places: Numbers) -> None:
    of = copied_columns(columns)
    starts = places[of]
    for line, number in enumerate(of):
        if columns.layout[number].kind is Kind.JSON:
            rows = np.flatnonzero(columns.sizes[number] != NULL)
            out[starts[line][rows]] = _JSONB_VERSION
            starts[line] += 1
    out[runs(starts.T.ravel()[copied.cells], copied.sizes, out.size)] = copied.payload


def _put_values(
    out: Bytes,
    places: Numbers,
    columns: Columns,
    number: int,
    rows: slice | np.ndarray[tuple[int], np.dtype[np.intp]],
) -> None:
    column = columns.layout[number]
    values = columns.values[number][rows]
    if column.kind is Kind.UUID:
        uuids = np.ascontiguousarray(columns.uuids[column.name][rows]).view("V16").ravel()
        unaligned(out, "V16")[places] = uuids
    elif column.kind is Kind.DECIMAL:
        unaligned(out, f"V{_VALUE_BYTES[Kind.DECIMAL]}")[places] = _numerics(values)
    else:
        if column.kind is Kind.TIME:
            values = values - _POSTGRES_EPOCH
        unaligned(out, _NUMBER_TYPES[column.kind])[places] = values


def _numerics(values: Numbers) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Whole numbers of the least step as PostgreSQL's numeric."""
    words = np.zeros((len(values), 4 + _NUMERIC_DIGITS), ">i2")
    words[:, 0] = _NUMERIC_DIGITS
    words[:, 1] = _NUMERIC_DIGITS - _SCALE_DIGITS - 1
    words[:, 2] = np.where(values < 0, _NEGATIVE, 0)
    words[:, 3] = _SCALE
    rest = np.abs(values)
    for place in range(3 + _NUMERIC_DIGITS, 3, -1):
        rest, words[:, place] = np.divmod(rest, _BASE)
    return words.view(f"V{_VALUE_BYTES[Kind.DECIMAL]}").ravel()
