"""From message values to rows: what the fast path offers the rest of the consumer."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from llm_audit_consumer.columnar.arrays import Bytes, Flags, Numbers, unaligned
from llm_audit_consumer.columnar.copied import pick, rows_with_nul
from llm_audit_consumer.columnar.copy_binary import copy_binary
from llm_audit_consumer.columnar.figures import call_counts, call_ends
from llm_audit_consumer.columnar.judging import storable_rows
from llm_audit_consumer.columnar.layout import ENTRY_COLUMNS
from llm_audit_consumer.columnar.reading import PADDING, read_columns
from llm_audit_consumer.columnar.sequences import sequence_ranges
from llm_audit_consumer.columnar.spending import spending_of_columns
from llm_audit_consumer.completeness.ranges import SequenceRange
from llm_audit_consumer.spending import Spending
from llm_audit_schemas.wire import HEADER_BYTES, MAGIC

_HEADER = struct.Struct(">bi")


@dataclass(frozen=True, slots=True)
class EntryRows:
    """Rows ready for the table, and what is told of them once they are in it.

    Attributes:
        binary_copy: The rows in PostgreSQL's binary COPY format.
        column_names: The columns that it has, in its order; the others are null in every row.
        calls: How many there are of each model and status.
        call_ends: When each call ended, in microseconds since 1970.
        spending: What they used and cost.
        arrived: The sequences of each producer that they bring.
    """

    binary_copy: memoryview
    column_names: Sequence[str]
    calls: Counter[tuple[str | None, str]]
    call_ends: Numbers
    spending: Spending
    arrived: Sequence[SequenceRange]

    def __len__(self) -> int:
        return len(self.call_ends)


NO_ENTRIES = EntryRows(memoryview(b""), (), Counter(), np.zeros(0, np.int64), Spending(), ())


def read_entries(
    values: Sequence[bytes | None], identities: Sequence[bytes | None], schema_ids: Collection[int]
) -> tuple[EntryRows, Flags]:
    """Read the messages that plainly are entries.

    Args:
        values: Message values.
        identities: Of each message, what its identity header names.
        schema_ids: The ids under which a body has our own schema.

    Returns:
        The rows of these messages, in their order, and by message whether it is among them.
    """
    data, starts, ends = _joined(values)
    framed = _is_framed(data, starts, ends, schema_ids)
    columns, whole = read_columns(data, np.where(framed, starts + HEADER_BYTES, ends), ends, ENTRY_COLUMNS)
    taken = framed & whole
    taken &= storable_rows(columns, identities)
    columns = columns.take(taken)
    if not len(columns):
        return NO_ENTRIES, taken
    filled = columns.without_empty()
    copied = pick(filled)
    unstorable = rows_with_nul(filled, copied)
    if unstorable.any():  # so rare that beginning again without these costs nothing
        taken[np.flatnonzero(taken)[unstorable]] = False
        others = [value if is_taken else None for value, is_taken in zip(values, taken.tolist(), strict=True)]
        return read_entries(others, identities, schema_ids)
    rows = EntryRows(
        copy_binary(filled, copied),
        [column.name for column in filled.layout],
        call_counts(columns),
        call_ends(columns),
        spending_of_columns(columns),
        sequence_ranges(columns),
    )
    return rows, taken


def _joined(values: Sequence[bytes | None]) -> tuple[Bytes, Numbers, Numbers]:
    """All values one after the other, and where each starts and ends."""
    given = [each or b"" for each in values]
    sizes = np.fromiter(map(len, given), np.int64, len(given))
    ends = np.cumsum(sizes)
    return np.frombuffer(b"".join([*given, PADDING]), np.uint8), ends - sizes, ends


def _is_framed(data: Bytes, starts: Numbers, ends: Numbers, schema_ids: Collection[int]) -> Flags:
    """By message, whether it is in the wire format and names one of our ids."""
    headers = unaligned(data, f"V{HEADER_BYTES}")[starts]
    framed = np.zeros(len(starts), np.bool_)
    for schema_id in schema_ids:
        framed |= headers == np.void(_HEADER.pack(MAGIC, schema_id))
    return framed & (ends - starts >= HEADER_BYTES)
