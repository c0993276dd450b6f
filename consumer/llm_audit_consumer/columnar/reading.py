"""Reads Avro bodies column by column: one pass of NumPy over all messages for each field.

Each message is read strictly within its own bytes, from its first to its last, so no message can shift another. A
message whose bytes are not plainly an entry is left to the slow path, which alone judges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llm_audit_consumer.columnar.arrays import Bytes, Flags, Numbers, unaligned
from llm_audit_consumer.columnar.layout import Column, Kind
from llm_audit_consumer.columnar.uuids import UUID_CHARACTERS, parse_uuids

Rows: TypeAlias = "slice | NDArray[np.intp]"
"""Some rows: all of them, or those numbered."""

PADDING = bytes(64)
"""Follows the last message, so that a value may be read past its end before that is found out."""

NULL = -1
_MOST_SHIFT = 63  # nine bytes of seven bits; a tenth could overflow, and is left to the slow path
_MOST_TEXTS = 64
_DECIMAL_BYTES = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch of entries by column.

    Attributes:
        data: The bytes of all messages, one after the other, and :data:`PADDING`.
        layout: What each column is.
        sizes: By column and row: bytes of the value, :data:`NULL` where it is null. Numbers, which have none, have 0.
        values: By column and row: the number (a decimal's without its point, a time's microseconds since 1970), or
            where in ``data`` the value's bytes start.
        uuids: By name of a column of UUIDs: 16 bytes for each row.
    """

    data: Bytes
    layout: Sequence[Column]
    sizes: NDArray[np.int32]
    values: Numbers
    uuids: Mapping[str, Bytes]

    def __len__(self) -> int:
        return int(self.sizes.shape[1])

    def take(self, rows: Flags) -> Columns:
        """The rows that are flagged."""
        if rows.all():
            return self
        uuids = {name: each[rows] for name, each in self.uuids.items()}
        return Columns(self.data, self.layout, self.sizes[:, rows], self.values[:, rows], uuids)

    def without_empty(self) -> Columns:
        """All but the columns that are null in every row."""
        kept = (self.sizes != NULL).any(axis=1)
        layout = [column for column, is_kept in zip(self.layout, kept.tolist(), strict=True) if is_kept]
        return Columns(self.data, layout, self.sizes[kept], self.values[kept], self.uuids)

    def place_of(self, name: str) -> int:
        """The number of a column."""
        return next(number for number, column in enumerate(self.layout) if column.name == name)


def read_columns(
    data: Bytes, starts: Numbers, ends: Numbers, layout: Sequence[Column]
) -> tuple[Columns, Flags]:
    """Read the bodies that lie in ``data`` from ``starts`` to ``ends``.

    Returns:
        The columns, and by row whether the body plainly is such a record. The other rows hold nothing of use.
    """
    reader = _Reader(data, starts.copy(), ends)
    sizes = np.zeros((len(layout), len(starts)), np.int32)
    values = np.zeros((len(layout), len(starts)), np.int64)
    for column, size, value in zip(layout, sizes, values, strict=True):
        reader.read(column, size, value)
    return Columns(data, layout, sizes, values, reader.uuids), ~reader.bad & (reader.at == ends)


class _Reader:
    """Where reading stands in each message, and which messages have gone wrong."""

    def __init__(self, data: Bytes, at: Numbers, ends: Numbers) -> None:
        self.data = data
        self.at = at
        self.bad: Flags = np.zeros(len(at), np.bool_)
        self.uuids: dict[str, Bytes] = {}
        self._ends = ends

    def read(self, column: Column, size: NDArray[np.int32], value: Numbers) -> None:
        """Read one column of every message that has a value there."""
        rows = self._rows_with_value(column)
        if rows is None:
            self._read_values(column, slice(None), size, value)
        else:
            size.fill(NULL)
            if rows.size:
                self._read_values(column, rows, size, value)

    def _rows_with_value(self, column: Column) -> NDArray[np.intp] | None:
        """The rows that are not null, or ``None`` for all of them."""
        if column.null is None:
            return None
        branch = self.data[self.at]
        has_value = branch == column.value
        self.bad |= ~(has_value | (branch == column.null))
        self._move(slice(None), self.at + 1)
        return None if has_value.all() else np.flatnonzero(has_value)

    def _read_values(self, column: Column, rows: Rows, size: NDArray[np.int32], value: Numbers) -> None:
        kind, at = column.kind, self.at[rows]
        if kind is Kind.BOOLEAN:
            byte = self.data[at]
            self.bad[rows] |= byte > 1
            value[rows], size[rows] = byte, 0
            self._move(rows, at + 1)
        elif kind in (Kind.LONG, Kind.INT, Kind.TIME):
            number, following = self._varint(rows, at)
            value[rows], size[rows] = number, 0
            if kind is Kind.INT:
                self.bad[rows] |= number != number.astype(np.int32)
            self._move(rows, following)
        elif kind is Kind.TEXTS:
            value[rows] = at
            size[rows] = self._past_texts(rows, at) - value[rows]
        else:
            length, start = self._varint(rows, at)
            following = self._move(rows, start + length)
            value[rows], size[rows] = start, following - start
            if kind is Kind.UUID:
                self._read_uuids(column.name, rows, start, size[rows])
            elif kind is Kind.DECIMAL:
                value[rows] = self._decimals(rows, start, size[rows])

    def _read_uuids(self, name: str, rows: Rows, start: Numbers, size: NDArray[np.int32]) -> None:
        written = size == UUID_CHARACTERS
        uuids, valid = parse_uuids(self.data, np.where(written, start, 0))
        self.bad[rows] |= ~(written & valid)
        self.uuids[name] = np.zeros((len(self.at), uuids.shape[1]), np.uint8)
        self.uuids[name][rows] = uuids

    def _decimals(self, rows: Rows, start: Numbers, size: NDArray[np.int32]) -> Numbers:
        """Whole numbers of up to eight bytes, the highest first; longer ones are left to the slow path."""
        known = (size > 0) & (size <= _DECIMAL_BYTES)
        eight = unaligned(self.data, ">i8")[start].astype(np.int64)
        known &= eight != np.iinfo(np.int64).min  # which alone has no counterpart above zero
        self.bad[rows] |= ~known
        return eight >> np.where(known, 8 * (_DECIMAL_BYTES - size), 0)

    def _varint(self, rows: Rows, at: Numbers) -> tuple[Numbers, Numbers]:
        """The Avro long of each of some rows, and where the byte after it is."""
        number, following, too_long = _varint(self.data, at)
        if too_long.size:
            numbers = np.arange(len(self.at))[rows]
            self.bad[numbers[too_long]] = True
        return number, following

    def _move(self, rows: Rows, to: Numbers) -> Numbers:
        """Go on to ``to``, at most to the message's end; who wanted to go beyond it, or back, is bad."""
        here, ends = self.at[rows], self._ends[rows]
        self.bad[rows] |= (to > ends) | (to < here)
        self.at[rows] = moved = np.clip(to, here, ends)
        return moved

    def _past_texts(self, rows: Rows, at: Numbers) -> Numbers:
        """Past an array of texts: one block of them, and the zero that ends it."""
        numbers = np.arange(len(self.at))[rows]
        count, following = self._varint(rows, at)
        self._move(rows, following)
        self.bad[rows] |= (count < 0) | (count > _MOST_TEXTS)
        for done in range(min(int(count.max()), _MOST_TEXTS)):
            more = numbers[count > done]
            length, start = self._varint(more, self.at[more])
            self._move(more, start + length)
        filled = numbers[count > 0]
        zero = self.data[self.at[filled]]
        self.bad[filled] |= zero != 0
        self._move(filled, self.at[filled] + 1)
        return self.at[rows]


def _varint(data: Bytes, at: Numbers) -> tuple[Numbers, Numbers, NDArray[np.intp]]:
    """Avro longs at some places: their values, the places after them, and which of them are too long to tell."""
    byte = data[at]
    number = (byte & 0x7F).astype(np.int64)
    following = at + 1
    longer = np.flatnonzero(byte >= 0x80)
    shift = 7
    while longer.size and shift < _MOST_SHIFT:
        byte = data[following[longer]]
        number[longer] |= (byte & 0x7F).astype(np.int64) << shift
        following[longer] += 1
        longer = longer[byte >= 0x80]
        shift += 7
    return (number >> 1) ^ -(number & 1), following, longer
