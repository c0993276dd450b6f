"""Which rows the fast path may take: those whose every value PostgreSQL takes as it came.

What the slow path would change, refuse or look at closer is left to it. Two things are left to PostgreSQL itself: that
text is UTF-8, and that JSON is well formed. Where it refuses one, the batch goes the slow path, which finds the row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from llm_audit_consumer.columnar.arrays import Flags
from llm_audit_consumer.columnar.layout import Kind
from llm_audit_consumer.columnar.reading import NULL, Columns
from llm_audit_consumer.columnar.texts import text_is
from llm_audit_schemas import STATUSES

_FIRST_TIME = -62_135_596_800_000_000  # 0001-01-01, in microseconds since 1970: Python's calendar
_LAST_TIME = 253_402_300_799_999_999  # the last of 9999
_NO_IDENTITY = bytes(16)

_SHORT_JSON = 800
"""Bytes of JSON in which nothing can be nested too deep for the slow path's parser, nor a number be too long for it."""
_MOST_BRACKETS = 400
_LONG_NUMBER_BYTES = 4000
_LONG_NUMBER = re.compile(rb"[0-9]{4000}")


def storable_rows(columns: Columns, identities: Sequence[bytes | None]) -> Flags:
    """By row, whether the fast path may take it.

    Args:
        columns: The rows; rows that are no entry may be among them.
        identities: Of each row's message, the request_id that its header names.
    """
    storable = _is_identity(columns, identities) & _has_known_status(columns)
    for number, column in enumerate(columns.layout):
        values = columns.values[number]
        if column.kind is Kind.TIME:
            storable &= (values >= _FIRST_TIME) & (values <= _LAST_TIME)
        elif column.kind is Kind.JSON:
            storable &= _is_plain_object(columns, number)
    return storable


def _is_identity(columns: Columns, identities: Sequence[bytes | None]) -> Flags:
    """Whether the header, where there is one, names the row's own request."""
    ids = columns.uuids["request_id"]
    given = [_NO_IDENTITY if each is None else each for each in identities]
    fits = np.fromiter(map(len, given), np.int64, len(given)) == len(_NO_IDENTITY)
    if not fits.all():
        given = [each if len(each) == len(_NO_IDENTITY) else _NO_IDENTITY for each in given]
    named = np.frombuffer(b"".join(given), np.uint8).reshape(-1, len(_NO_IDENTITY))
    missing = np.fromiter((each is None for each in identities), np.bool_, len(given))
    same: Flags = (named == ids).all(axis=1) & fits | missing
    return same


def _has_known_status(columns: Columns) -> Flags:
    known = np.zeros(len(columns), np.bool_)
    for status in STATUSES:
        known |= text_is(columns, "status", status.encode(), np.arange(len(columns)))
    return known


def _is_plain_object(columns: Columns, number: int) -> Flags:
    """By row, whether a column may be left to PostgreSQL: it is null, or JSON that begins as an object does."""
    sizes, starts = columns.sizes[number], columns.values[number]
    plain: Flags = sizes == NULL
    filled = np.flatnonzero(sizes > 0)
    plain[filled] = columns.data[starts[filled]] == ord("{")
    data = columns.data.data
    for row in np.flatnonzero(plain & (sizes > _SHORT_JSON)).tolist():
        text = bytes(data[starts[row] : starts[row] + sizes[row]])
        plain[row] = _is_within_python_limits(text)
    return plain


def _is_within_python_limits(text: bytes) -> bool:
    """Whether the slow path's parser reads it too, if it is JSON: PostgreSQL nests deeper, and takes longer numbers."""
    if text.count(b"[") + text.count(b"{") > _MOST_BRACKETS:
        return False
    return len(text) < _LONG_NUMBER_BYTES or _LONG_NUMBER.search(text) is None
