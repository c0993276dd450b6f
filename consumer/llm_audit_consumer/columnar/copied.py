"""The bytes that go into the COPY as they came: texts, JSON and binary values, picked out of the messages in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llm_audit_consumer.columnar.arrays import Bytes, Flags, Numbers
from llm_audit_consumer.columnar.layout import COPIED, Kind
from llm_audit_consumer.columnar.reading import Columns
from llm_audit_consumer.columnar.text_arrays import rows_with_nul_in_array


@dataclass(frozen=True, slots=True)
class CopiedBytes:
    """The copied values of all rows, one after the other, row by row.

    Attributes:
        cells: Which of the copied columns' cells have bytes, counted row by row.
        sizes: Bytes of each of these cells.
        payload: The bytes themselves.
    """

    cells: Numbers
    sizes: Numbers
    payload: Bytes


def copied_columns(columns: Columns) -> list[int]:
    """The numbers of the columns whose bytes are copied."""
    return [number for number, column in enumerate(columns.layout) if column.kind in COPIED]


def pick(columns: Columns) -> CopiedBytes:
    """The copied bytes of all rows."""
    of = copied_columns(columns)
    sizes = columns.sizes[of].T.ravel()
    cells = np.flatnonzero(sizes > 0)
    sizes_there: Numbers = sizes[cells].astype(np.int64)
    starts = columns.values[of].T.ravel()[cells]
    return CopiedBytes(cells, sizes_there, columns.data[runs(starts, sizes_there, columns.data.size)])


def runs(starts: Numbers, sizes: Numbers, total: int) -> Flags:
    """Flags for ``total`` bytes, set in the runs that start and have a size so; runs neither meet nor cross."""
    ends = starts + sizes
    counts = np.empty(2 * len(starts) + 1, np.int64)
    counts[1::2] = sizes
    counts[0:-1:2] = starts
    counts[2:-1:2] -= ends[:-1]
    counts[-1] = total - (ends[-1] if len(ends) else 0)
    flags = np.zeros(len(counts), np.bool_)
    flags[1::2] = True
    return np.repeat(flags, counts)


def rows_with_nul(columns: Columns, copied: CopiedBytes) -> Flags:
    """The rows in whose text a NUL character stands, which PostgreSQL does not take; binary values may have it."""
    found = np.zeros(len(columns), np.bool_)
    found[rows_with_nul_in_array(columns)] = True
    zeros = np.flatnonzero(copied.payload == 0)
    if zeros.size:
        of = copied_columns(columns)
        cells = copied.cells[np.searchsorted(np.cumsum(copied.sizes), zeros, side="right")]
        is_text = np.array([columns.layout[number].kind is not Kind.BYTES for number in of])
        found[(cells // len(of))[is_text[cells % len(of)]]] = True
    return found
