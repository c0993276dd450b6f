"""Text that every part of the trail can hold.

PostgreSQL's ``text`` and ``jsonb`` refuse the NUL character, and UTF-8 has no form for a lone surrogate (half
of a UTF-16 pair, which Python strings and JSON escapes can carry). Both are replaced by a visible mark rather
than dropped, so that an auditor sees that something stood there.
"""

from __future__ import annotations

import math
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


_MOST_ITEMS = 100_000
"""Values kept by :func:`storable_json`: a structure that holds itself many times over must not hang us."""

_MOST_BITS = 1024
"""Largest whole number kept as a number, as large as a float can be. Longer ones meet limits of JSON readers."""


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

    Never fails. Whole numbers of more than 1024 bits become text too, and keys that have the same text are told
    apart by their type.

    Args:
        value: Anything.
        depth: Levels of nesting kept; deeper ones, and anything after the first 100,000 values, become their
            type's name, so that no cycle can hang us.
    """
    return _Plain().of(value, depth)


class _Plain:
    """One conversion to plain JSON, and how many values it may still keep."""

    def __init__(self) -> None:
        self._left = _MOST_ITEMS

    def of(self, value: object, depth: int) -> JsonValue:
        if value is None or isinstance(value, bool):
            return value
        try:
            if isinstance(value, str):
                return storable(str.__str__(value))
            if isinstance(value, int):
                return _number(int(value))
            if isinstance(value, float):
                return _number(float(value))
            return self._nested(value, depth)
        except Exception:  # noqa: BLE001 - a caller's broken object must not lose the entry
            return _type_of(value)

    def _nested(self, value: object, depth: int) -> JsonValue:
        if not isinstance(value, Mapping | list | tuple | set | frozenset):
            return bounded(str(value), 1024)
        self._left -= 1 + len(value)
        if depth <= 0 or self._left < 0:
            return _type_of(value)
        if isinstance(value, Mapping):
            return self._object(value, depth - 1)
        return [self.of(item, depth - 1) for item in value]

    def _object(self, value: Mapping[object, object], depth: int) -> dict[str, JsonValue]:
        members: dict[str, JsonValue] = {}
        for key, item in value.items():
            name = storable(str.__str__(key)) if isinstance(key, str) else str(self.of(key, 0))
            while name in members:
                name = f"{name} {_type_of(key)}"
            members[name] = self.of(item, depth)
        return members


def _number(value: float) -> JsonValue:
    if isinstance(value, int):
        return value if value.bit_length() <= _MOST_BITS else f"<int of {value.bit_length()} bits>"
    return value if math.isfinite(value) else str(value)


def _type_of(value: object) -> str:
    return bounded(f"<{type(value).__name__}>", 128)
