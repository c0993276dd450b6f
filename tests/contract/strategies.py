"""Hypothesis strategies for the contract's values."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from llm_audit_schemas import STATUSES, AuditEntry, request_id_at
from llm_audit_schemas.entry import CONTENT_MODES
from llm_audit_schemas.text import NUL_MARK

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
"""Text that is kept as it is: no NUL, no surrogate."""

ANY_TEXT = st.text(st.characters(), max_size=20)
"""Any Python string, NUL and lone surrogates included."""

COUNTS = st.integers(0, 2**63 - 1)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=20)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
JSON_OBJECTS = st.dictionaries(TEXT, JSON_VALUES, max_size=4)

STRUCTURES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
"""Anything that has a canonical form of its own."""

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - st adds UTC


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


_BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXT,
    "str | None": _optional(TEXT),
    "int": st.integers(-(2**31), 2**31 - 1),
    "int | None": _optional(st.integers(-(2**31), 2**31 - 1)),
    "bool": st.booleans(),
    "bytes | None": _optional(st.binary(max_size=64)),
    "tuple[str, ...] | None": _optional(st.lists(TEXT, max_size=4).map(tuple)),
    "JsonObject | None": _optional(JSON_OBJECTS),
    "Decimal | None": _optional(
        st.decimals(
            Decimal("-999999999999"),
            Decimal("999999999999"),
            places=12,
            allow_nan=False,
            allow_infinity=False,
        )
    ),
}
_BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "producer_id": st.uuids().map(str),
    "status": st.sampled_from(sorted(STATUSES)),
    "content_mode": st.sampled_from(sorted(CONTENT_MODES)),
    "user_id": TEXT.map(lambda text: text or NUL_MARK),
    **{name: _optional(COUNTS) for name in ("input_tokens", "output_tokens", "latency_ms", "output_bytes")},
    "sequence": COUNTS,
}


@st.composite
def entries(draw: st.DrawFn) -> AuditEntry:
    """Any entry the contract allows."""
    timestamp = draw(TIMES)
    values: dict[str, Any] = {
        "timestamp": timestamp,
        "request_id": request_id_at(timestamp, draw(st.binary(min_size=10, max_size=10))),
    }
    for name, field in AuditEntry.__dataclass_fields__.items():
        if name not in values:
            values[name] = draw(_BY_NAME[name] if name in _BY_NAME else _BY_TYPE[str(field.type)])
    return AuditEntry(**values)
