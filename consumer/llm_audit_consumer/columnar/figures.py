"""What the metrics tell of a batch, reckoned by column."""

from __future__ import annotations

from collections import Counter

import numpy as np

from llm_audit_consumer.columnar.arrays import Numbers
from llm_audit_consumer.columnar.reading import NULL, Columns
from llm_audit_consumer.columnar.texts import rows_by_text, text_is
from llm_audit_schemas import STATUSES

_MICROSECONDS = 1000
_LONGEST = 2**62


def call_counts(columns: Columns) -> Counter[tuple[str | None, str]]:
    """How many calls there are of each model and status."""
    counts: Counter[tuple[str | None, str]] = Counter()
    for model, rows in rows_by_text(columns, "model"):
        for status in STATUSES:
            count = np.count_nonzero(text_is(columns, "status", status.encode(), rows))
            if count:
                counts[model, status] += int(count)
    return counts


def call_ends(columns: Columns) -> Numbers:
    """When each call ended, in microseconds since 1970; its start where its latency is not known."""
    starts = columns.values[columns.place_of("timestamp")]
    number = columns.place_of("latency_ms")
    known = columns.sizes[number] != NULL
    latency = np.where(known, columns.values[number], 0)
    # A hostile latency in Avro's long reaches beyond what int64 holds in microseconds.
    latency = np.clip(latency, -_LONGEST // _MICROSECONDS, _LONGEST // _MICROSECONDS)
    ends: Numbers = starts + latency * _MICROSECONDS
    return ends
