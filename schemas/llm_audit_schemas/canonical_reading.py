"""Reads a canonical form back into JSON-like values, for people to look at.

What a form does not carry cannot come back: null members, ``cache_control``, and the values of anything that is named
by its type alone. Where a form was cut to a size, everything before the cut is given, and the cut is shown.
"""

from __future__ import annotations

import base64
from typing import Final

from llm_audit_schemas.errors import UnreadableFormError

CUT: Final = "[cut here]"
"""Stands where a truncated form ends."""


def read(form: bytes, *, truncated: bool = False) -> object:
    """The value of a form.

    Args:
        form: The canonical form, or the first bytes of one.
        truncated: Whether it was cut, so that its end may be missing.

    Raises:
        UnreadableFormError: the bytes are no canonical form.
    """
    reader = _Reader(form, truncated=truncated)
    try:
        value = reader.value()
    except (ValueError, RecursionError, OverflowError) as error:
        raise UnreadableFormError(f"the canonical form breaks off at byte {reader.at}") from error
    if reader.at != len(form):
        raise UnreadableFormError(f"{len(form) - reader.at} bytes follow the canonical form's end")
    return value


class _Reader:
    def __init__(self, form: bytes, *, truncated: bool) -> None:
        self._form = form
        self._truncated = truncated
        self.at = 0

    @property
    def _cut(self) -> bool:
        return self._truncated and self.at >= len(self._form)

    def value(self) -> object:
        if self._cut:
            return CUT
        tag = self._form[self.at : self.at + 1]
        self.at += 1
        if tag in b"ntf" and tag:
            self._upto(b";")
            return {b"n": None, b"t": True, b"f": False}[tag]
        if tag == b"i":
            digits = self._upto(b";")
            return CUT if digits is None else int(digits, 16)
        if tag == b"d":
            digits = self._upto(b";")
            return CUT if digits is None else float(digits)
        if tag in b"sbx" and tag:
            return self._sized(tag)
        if tag == b"l":
            return self._list()
        if tag == b"o":
            return self._object()
        raise ValueError("unknown tag")

    def _upto(self, mark: bytes) -> bytes | None:
        """The bytes before ``mark``, which is passed; ``None`` where the form was cut before it."""
        end = self._form.find(mark, self.at)
        if end < 0:
            if not self._truncated:
                raise ValueError("no end")
            self.at = len(self._form)
            return None
        found = self._form[self.at : end]
        self.at = end + 1
        return found

    def _sized(self, tag: bytes) -> object:
        size = self._upto(b":")
        if size is None:
            return CUT
        data = self._form[self.at : self.at + int(size)]
        short = len(data) < int(size)
        if short and not self._truncated:
            raise ValueError("too short")
        self.at += len(data)
        if tag == b"s":
            text = data.decode("utf-8", "replace" if short else "surrogatepass")
            return text + CUT if short else text
        if tag == b"b":
            return {"bytes": base64.b64encode(data).decode() + (CUT if short else "")}
        return {"not_kept": data.decode("utf-8", "replace")}

    def _list(self) -> list[object]:
        items: list[object] = []
        while not self._ended():
            items.append(self.value())
        return items

    def _object(self) -> dict[str, object]:
        members: dict[str, object] = {}
        while not self._ended():
            key = self.value()
            members[str(key)] = self.value() if not self._cut else CUT
        return members

    def _ended(self) -> bool:
        if self._cut:
            return True
        if self._form[self.at : self.at + 1] == b"e":
            self.at += 1
            return True
        if self.at >= len(self._form):
            raise ValueError("no end")
        return False
