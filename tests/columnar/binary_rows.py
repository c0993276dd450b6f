"""Reads PostgreSQL's binary COPY back into records, after the manual and independently of what writes it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from llm_audit_consumer.columnar.entry_rows import EntryRows
from llm_audit_schemas.codec import Record
from llm_audit_schemas.entry import FIELD_NAMES

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_TEXT_OID = 25


def records_of(rows: EntryRows) -> list[Record]:
    """The rows as decoded Avro records have them."""
    if not rows:
        return []
    nothing: Record = dict.fromkeys(FIELD_NAMES)
    return [
        {**nothing, **{name: _value(name, field) for name, field in zip(rows.column_names, row, strict=True)}}
        for row in _rows(bytes(rows.binary_copy))
    ]


def _value(name: str, field: bytes | None) -> Any:
    return None if field is None else _reader(name)(field)


def _rows(copy: bytes) -> Iterator[list[bytes | None]]:
    assert copy.startswith(_SIGNATURE + bytes(8)), "not the binary format's header"
    at = len(_SIGNATURE) + 8
    while (count := struct.unpack_from(">h", copy, at)[0]) != -1:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", copy, at)
            at += 4
            row.append(None if length == -1 else copy[at : at + length])
            at += max(length, 0)
        yield row
    assert at + 2 == len(copy), "something follows the trailer"


def _number(size: int) -> Callable[[bytes], int]:
    def read(field: bytes) -> int:
        assert len(field) == size
        return int.from_bytes(field, "big", signed=True)

    return read


def _boolean(field: bytes) -> bool:
    return {b"\0": False, b"\1": True}[field]


def _time(field: bytes) -> datetime:
    return _EPOCH + timedelta(microseconds=_number(8)(field))


def _numeric(field: bytes) -> Decimal:
    count, weight, sign, scale, *digits = struct.unpack(f">{len(field) // 2}h", field)
    assert (count, scale, sign in (0, 0x4000)) == (len(digits), 12, True)
    assert all(0 <= digit < 10_000 for digit in digits)
    value = sum(
        (Decimal(digit).scaleb(4 * (weight - place)) for place, digit in enumerate(digits)), Decimal(0)
    )
    return -value if sign else value


def _jsonb(field: bytes) -> str:
    assert field[0] == 1
    return field[1:].decode()


def _texts(field: bytes) -> list[str]:
    dimensions, nulls, oid = struct.unpack_from(">iiI", field)
    assert (nulls, oid) == (0, _TEXT_OID)
    if dimensions == 0:
        assert len(field) == 12
        return []
    count, first = struct.unpack_from(">ii", field, 12)
    assert (dimensions, first) == (1, 1)
    at, found = 20, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", field, at)
        found.append(field[at + 4 : at + 4 + length].decode())
        at += 4 + length
    assert at == len(field)
    return found


_BIG = _number(8)
_SMALL = _number(4)
_READERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(("request_id", "producer_id"), lambda field: UUID(bytes=field)),
    **dict.fromkeys(("streamed", "truncated"), _boolean),
    **dict.fromkeys(("http_status", "attempts", "sanitization_count", "canonical_form"), _SMALL),
    **dict.fromkeys(
        ("sequence", "latency_ms", "time_to_first_token_ms", "input_bytes", "output_bytes"), _BIG
    ),
    **dict.fromkeys(("input_tokens", "output_tokens", "thinking_tokens", "server_tool_requests"), _BIG),
    **dict.fromkeys(("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"), _BIG),
    **dict.fromkeys(("metadata", "details", "digest_salts"), _jsonb),
    **dict.fromkeys(("prev_digest", "entry_mac"), bytes),
    "timestamp": _time,
    "cost_usd": _numeric,
    "tool_names": _texts,
}


def _reader(name: str) -> Callable[[bytes], Any]:
    return _READERS.get(name, lambda field: field.decode())
