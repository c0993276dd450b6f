"""Rows in PostgreSQL's COPY text format (manual, "COPY", section "Text Format"). Pure.

One converter for each column, chosen once: a batch is tens of thousands of values, so nothing is looked up per value.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llm_audit_schemas.codec import Record
from llm_audit_schemas.entry import FIELD_NAMES

NULL = "\\N"

Converter = Callable[[Any], str]


def escaped(text: str) -> str:
    """A text value; backslash, tab and line ends are what the format gives a meaning."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text:
        text = text.replace("\n", "\\n")
    if "\t" in text:
        text = text.replace("\t", "\\t")
    return text.replace("\r", "\\r") if "\r" in text else text


def _boolean(value: Any) -> str:
    return "t" if value else "f"


def _array(values: Sequence[str]) -> str:
    """An array literal, every element quoted."""
    elements = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return escaped("{" + ",".join(f'"{element}"' for element in elements) + "}")


def _bytes(value: bytes) -> str:
    return "\\\\x" + value.hex()


def _moment(value: Any) -> str:
    return str(value.isoformat())


_SPECIAL: dict[str, Converter] = {
    "timestamp": _moment,
    "streamed": _boolean,
    "truncated": _boolean,
    "tool_names": _array,
    "prev_digest": _bytes,
    "entry_mac": _bytes,
}

_PLAIN = frozenset(
    {
        "request_id",
        "producer_id",
        "sequence",
        "input_tokens",
        "output_tokens",
        "thinking_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "server_tool_requests",
        "cost_usd",
        "latency_ms",
        "time_to_first_token_ms",
        "http_status",
        "attempts",
        "sanitization_count",
        "canonical_form",
        "input_bytes",
        "output_bytes",
    }
)
"""Columns whose value's own text is the format already."""


def _converter(name: str) -> Converter:
    return str if name in _PLAIN else _SPECIAL.get(name, escaped)


_COLUMNS: tuple[tuple[str, Converter], ...] = tuple((name, _converter(name)) for name in FIELD_NAMES)

COLUMN_NAMES = ", ".join(f'"{name}"' for name in FIELD_NAMES)
"""The columns, in the order in which :func:`copy_text` writes them."""


def copy_text(rows: Iterable[Record]) -> io.StringIO:
    """The rows as COPY's text format, ready to be read."""
    lines = [
        "\t".join([NULL if (value := row[name]) is None else convert(value) for name, convert in _COLUMNS])
        for row in rows
    ]
    lines.append("")
    return io.StringIO("\n".join(lines))
