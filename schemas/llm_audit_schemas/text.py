"""Text that every part of the trail can hold.

PostgreSQL's ``text`` and ``jsonb`` refuse the NUL character, and UTF-8 has no form for a lone surrogate (half
of a UTF-16 pair, which Python strings and JSON escapes can carry). Both are replaced by a visible mark rather
than dropped, so that an auditor sees that something stood there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

JsonValue: TypeAlias = (
    "str | int | float | bool | list[JsonValue] | tuple[JsonValue, ...] | Mapping[str, JsonValue] | None"
)
"""What JSON can say."""

JsonObject: TypeAlias = Mapping[str, JsonValue]
"""A JSON object."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
NUL_MARK = "\N{SYMBOL FOR NULL}"
SURROGATE_MARK = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """``text`` with NUL and lone surrogates replaced by visible marks; the same object when it has none."""
    if text.isascii():
        return text.replace("\x00", NUL_MARK) if "\x00" in text else text
    return _UNSTORABLE.sub(_mark, text)


def _mark(match: re.Match[str]) -> str:
    return NUL_MARK if match.group() == "\x00" else SURROGATE_MARK


def bounded(text: str, limit: int) -> str:
    """``text`` made storable and cut to at most ``limit`` characters, an ellipsis showing the cut."""
    text = storable(text)
    return text if len(text) <= limit else text[: limit - 1] + "\N{HORIZONTAL ELLIPSIS}"


def storable_json(value: object, depth: int = 32) -> JsonValue:
    """``value`` as plain JSON whatever it is: unknown types become their text, non-finite floats their name.

    Args:
        value: Anything.
        depth: Levels of nesting kept; deeper ones become their type's name, so that no cycle can hang us.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if depth <= 0:
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        return {storable(str(key)): storable_json(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable_json(item, depth - 1) for item in value]
    return _text_of(value)


def _text_of(value: object) -> str:
    try:
        return bounded(str(value), 1024)
    except Exception:  # noqa: BLE001 - a caller's broken __str__ must not lose the entry
        return f"<{type(value).__name__}>"
