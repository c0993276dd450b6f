"""The canonical form: one byte string for one content, whatever objects carried it.

Hashes are taken over this form, so its rules are part of the contract and carry a version. Version 1:

    null -> n;   true/false -> t; / f;   integer -> i<hex digits>;   float -> d<shortest repr>;
    text -> s<byte length>:<UTF-8>   bytes -> b<length>:<bytes>
    list -> l<items>e   object -> o<key text, value, ...>e, keys sorted by their UTF-8 bytes
    anything else, what is nested deeper than 64 levels, an object inside itself, and lists and objects after
        the first two million parts of a form
        -> x<length>:<its type's qualified name>

Every item says its own length or end, so two different contents cannot share a form as long as they are made of the
kinds above; of anything else only the type is told apart, and of keys only their text. It is not JSON because
escaping and sorting JSON costs several times the hash itself on a long prompt, and because JSON has no form for
bytes, NaN or a file handle, and this must never fail on any block type.

Equal content gets an equal form before that: a plain string is the one text block the API takes it for, a tuple is
a list, an SDK's own model object is the object it dumps to, and an object's null members and ``cache_control`` (a
hint for the transport, moved from turn to turn) are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

VERSION = 1
"""Version of the canonical form, stored with every hash."""

_MAX_DEPTH = 64
_MAX_PARTS = 2_000_000  # a small value that holds itself many times over would otherwise unfold without end
_IGNORED_MEMBERS = frozenset({"cache_control"})


def canonical_system(system: object) -> bytes:
    """The canonical form of a system prompt: text, or a list of blocks."""
    return encode(_blocks(system))


def canonical_input(messages: object) -> bytes:
    """The canonical form of the input: a list of messages, or the one text that a lone user message holds."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    # An iterator is left alone: to read it would take the messages from the caller.
    if isinstance(messages, Iterable) and not isinstance(messages, bytes | bytearray | Mapping | Iterator):
        try:
            messages = [_message(message) for message in messages]
        except Exception:  # noqa: BLE001 - an iterable that breaks still gets a form
            return encode(messages)
    return encode(messages)


def canonical_output(content: object) -> bytes:
    """The canonical form of an answer: text, or its list of content blocks."""
    return encode(_blocks(content))


def encode(value: object) -> bytes:
    """The canonical form of any value; never fails."""
    parts: list[bytes] = []
    _append(parts, value, _MAX_DEPTH, set())
    return b"".join(parts)


def _message(message: object) -> object:
    if isinstance(message, Mapping) and isinstance(message.get("content"), str):
        return {**message, "content": _blocks(message["content"])}
    return message


def _blocks(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _append(parts: list[bytes], value: object, depth: int, open_ids: set[int]) -> None:
    """Append a value's form; ``open_ids`` are the objects that contain it, for one may contain itself."""
    if isinstance(value, str):
        data = str.encode(value, "utf-8", "surrogatepass")
        parts += (b"s%d:" % len(data), data)
    elif value is None:
        parts.append(b"n;")
    elif isinstance(value, bool):
        parts.append(b"t;" if value else b"f;")
    elif isinstance(value, int):
        number = int(value)
        parts.append(b"i%x;" % number if number >= 0 else b"i-%x;" % -number)
    elif isinstance(value, float):
        parts.append(b"d%s;" % float.__repr__(value).encode())
    elif isinstance(value, bytes | bytearray):
        _append_sized(parts, b"b", bytes(value))
    elif depth <= 0 or len(parts) > _MAX_PARTS or id(value) in open_ids:
        _append_unknown(parts, value)
    else:
        begun = len(parts)
        open_ids.add(id(value))
        try:
            _append_nested(parts, value, depth - 1, open_ids)
        except Exception:  # noqa: BLE001 - an object that breaks when it is looked at still gets a form
            del parts[begun:]
            _append_unknown(parts, value)
        open_ids.discard(id(value))


def _append_nested(parts: list[bytes], value: object, depth: int, open_ids: set[int]) -> None:
    if isinstance(value, Mapping):
        _append_object(parts, value, depth, open_ids)
    elif isinstance(value, list | tuple):
        parts.append(b"l")
        for item in value:
            _append(parts, item, depth, open_ids)
        parts.append(b"e")
    elif isinstance(value, memoryview):
        _append_sized(parts, b"b", bytes(value))
    elif callable(dump := getattr(value, "model_dump", None)):  # an SDK's own model object
        _append(parts, dump(), depth, open_ids)
    else:
        _append_unknown(parts, value)


def _append_object(
    parts: list[bytes], value: Mapping[object, object], depth: int, open_ids: set[int]
) -> None:
    members = [
        (_key(key), member)
        for key, member in value.items()
        if member is not None and key not in _IGNORED_MEMBERS
    ]
    members.sort(key=_key_of)
    parts.append(b"o")
    for (key, _), member in members:
        parts += (b"s%d:" % len(key), key)
        _append(parts, member, depth, open_ids)
    parts.append(b"e")


def _key(key: object) -> tuple[bytes, str]:
    """A key's text, and for keys that are no text their type, so that two with the same text have an order."""
    if isinstance(key, str):
        return str.encode(key, "utf-8", "surrogatepass"), ""
    return str(key).encode("utf-8", "surrogatepass"), type(key).__qualname__


def _key_of(member: tuple[tuple[bytes, str], object]) -> tuple[bytes, str]:
    return member[0]


def _append_unknown(parts: list[bytes], value: object) -> None:
    kind = type(value)
    _append_sized(parts, b"x", f"{kind.__module__}.{kind.__qualname__}".encode("utf-8", "surrogatepass"))


def _append_sized(parts: list[bytes], tag: bytes, data: bytes) -> None:
    parts.append(b"%s%d:" % (tag, len(data)))
    parts.append(data)
