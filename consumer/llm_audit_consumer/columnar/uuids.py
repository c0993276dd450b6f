"""UUIDs from their text, many at once."""

from __future__ import annotations

import numpy as np

from llm_audit_consumer.columnar.arrays import Bytes, Flags, Numbers, unaligned

UUID_CHARACTERS = 36
_HYPHENS = (8, 13, 18, 23)
_DIGITS = [place for place in range(UUID_CHARACTERS) if place not in _HYPHENS]
_NONE = 0xFFFF


def _pairs() -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    """By two characters, as they lie in memory: the byte that they write in hexadecimal."""
    table = np.full(1 << 16, _NONE, np.uint16)
    for value in range(256):
        for high in {f"{value:02x}"[0], f"{value:02X}"[0]}:
            for low in {f"{value:02x}"[1], f"{value:02X}"[1]}:
                table[int.from_bytes((high + low).encode(), "little")] = value
    return table


_PAIRS = _pairs()


def parse_uuids(data: Bytes, starts: Numbers) -> tuple[Bytes, Flags]:
    """The 16 bytes of each UUID whose 36 characters start at a place, and whether it is one."""
    characters = unaligned(data, f"V{UUID_CHARACTERS}")[starts].view(np.uint8).reshape(-1, UUID_CHARACTERS)
    valid = (characters[:, _HYPHENS] == ord("-")).all(axis=1)
    pairs = np.ascontiguousarray(characters[:, _DIGITS]).view("<u2")
    values = _PAIRS[pairs]
    return values.astype(np.uint8), valid & (values != _NONE).all(axis=1)
