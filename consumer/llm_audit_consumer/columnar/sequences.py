"""Which sequences of which producers a batch brings, reckoned by column."""

from __future__ import annotations

from uuid import UUID

import numpy as np

from llm_audit_consumer.columnar.reading import Columns
from llm_audit_consumer.completeness.ranges import HIGHEST_SEQUENCE, SequenceRange


def sequence_ranges(columns: Columns) -> list[SequenceRange]:
    """As :func:`ranges_of` finds them in records."""
    sequences = columns.values[columns.place_of("sequence")]
    counted = (sequences >= 0) & (sequences < HIGHEST_SEQUENCE)
    sequences = sequences[counted]
    if not sequences.size:
        return []
    # Sorted by producer, as two numbers of 64 bits, and within it by sequence: a run ends where one is not the next.
    halves = np.ascontiguousarray(columns.uuids["producer_id"][counted]).view(">u8")
    order = np.lexsort((sequences, halves[:, 1], halves[:, 0]))
    halves, sequences = halves[order], sequences[order]
    same_producer = (halves[1:] == halves[:-1]).all(axis=1)
    breaks = np.flatnonzero(~same_producer | (np.diff(sequences) > 1)) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, len(sequences)] - 1
    return [
        SequenceRange(UUID(bytes=halves[first].tobytes()), int(sequences[first]), int(sequences[last]))
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True)
    ]
