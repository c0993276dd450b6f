"""Applies a change to every text that a request sends to the model, and to nothing else.

Texts are the system prompt, the messages' texts and what is nested in their blocks: results and inputs of tools,
documents given as text, search results, citations. Ids, types, URLs of sources, base64 data, encrypted members, tool
definitions and settings stay as they are, and so does thinking, which the API refuses when its signed text is changed.
Of a tool's input the values are texts; the names of its members are not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias

from llm_audit_producer.sanitizing import Sanitized

TextChange: TypeAlias = Callable[[str], tuple[str, Mapping[str, int]]]
"""Takes a text, gives the text to send instead and what was redacted, as kind to count."""

_TEXTS = frozenset(
    {"text", "title", "context", "cited_text", "document_title", "stdout", "stderr", "content", "source"}
)
"""Members of a block that the model reads when they are strings; ``source`` is one in a search result only."""

_BLOCKS = frozenset({"content", "citations", "source"})
"""Members of a block that may hold further blocks."""

_SIGNED = frozenset({"thinking", "redacted_thinking"})
"""Blocks that the API takes back only unchanged."""


def change_texts(body: Mapping[str, object], change: TextChange) -> Sanitized:
    """``body`` with ``change`` applied to every text for the model.

    Nothing is changed in place: what differs is copied, and everything else is the very object it was. A body in which
    nothing changes is returned itself.

    Args:
        body: The body of ``/v1/messages`` or ``/v1/complete``, as it will be made into JSON.
        change: Called once for each text that is not empty; whatever it raises is raised here.
    """
    walk = _Walk(change)
    return Sanitized(_members(body, walk.member_of_body), dict(walk.events))


class _Walk:
    """One way through a body, and what was redacted on it."""

    def __init__(self, change: TextChange) -> None:
        self._change = change
        self.events: Counter[str] = Counter()

    def member_of_body(self, name: str, value: object) -> object:
        """A member of the whole body."""
        if name == "messages":
            return _items(value, self._message)
        if name == "system":
            return self._blocks(value)
        return self._text(value) if name == "prompt" else value

    def _text(self, value: object) -> object:
        if not isinstance(value, str) or not value:
            return value
        new, events = self._change(value)
        self.events.update(events)
        return value if new == value else new

    def _message(self, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return _members(value, lambda name, inner: self._blocks(inner) if name == "content" else inner)

    def _blocks(self, value: object) -> object:
        """A text, one block, or a sequence of either."""
        if isinstance(value, str):
            return self._text(value)
        return self._block(value) if isinstance(value, Mapping) else _items(value, self._blocks)

    def _block(self, block: Mapping[str, object]) -> object:
        kind = block.get("type")
        if isinstance(kind, str) and kind in _SIGNED:
            return block
        return _members(block, lambda name, value: self._member_of_block(kind, name, value))

    def _member_of_block(self, kind: object, name: str, value: object) -> object:
        if isinstance(value, str):
            is_plain_document = name == "data" and kind == "text"
            return self._text(value) if name in _TEXTS or is_plain_document else value
        if name == "input" and isinstance(kind, str) and kind.endswith("tool_use"):
            return self._values(value)
        return self._blocks(value) if name in _BLOCKS else value

    def _values(self, value: object) -> object:
        """Every string in a tool's input."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return _members(value, lambda _, inner: self._values(inner))
        return _items(value, self._values)


def _members(value: Mapping[str, object], change: Callable[[str, object], object]) -> Mapping[str, object]:
    """A mapping with its members changed; itself where none is."""
    changed: dict[str, object] = {}
    for name, inner in value.items():
        new = change(name, inner)
        if new is not inner:
            changed[name] = new
    return {**value, **changed} if changed else value


def _items(value: object, change: Callable[[object], object]) -> object:
    """A sequence with its items changed; itself where none is, or where it is no sequence."""
    if not isinstance(value, (list, tuple)):
        return value
    new = [change(each) for each in value]
    return new if any(after is not before for after, before in zip(new, value, strict=True)) else value
