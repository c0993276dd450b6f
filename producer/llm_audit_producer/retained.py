"""How much memory a value holds on to, about: for the bound of the recorder's queue."""

from __future__ import annotations

from collections.abc import Mapping

_MOST_ITEMS = 20_000
_ITEM_BYTES = 64


def retained_bytes(*values: object) -> int:
    """About how many bytes the texts and containers in ``values`` take.

    Never fails and never runs long: it looks at no more than 20,000 items, so a structure that holds itself ends too.
    """
    size = 0
    pending = list(values)
    for _ in range(_MOST_ITEMS):
        if not pending:
            break
        value = pending.pop()
        size += _ITEM_BYTES
        if isinstance(value, str | bytes | bytearray):
            size += len(value)
            continue
        try:
            if isinstance(value, Mapping):
                pending.extend(value.keys())
                pending.extend(value.values())
            elif isinstance(value, list | tuple):
                pending.extend(value)
        except Exception:  # noqa: BLE001, S112 - an object that breaks when it is looked at counts as one item
            continue
    return size
