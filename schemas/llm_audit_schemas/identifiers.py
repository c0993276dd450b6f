"""Identifiers: UUIDv7 request ids that carry the call's time, and producer ids.

The layout is RFC 9562, section 5.7: 48 bits of Unix milliseconds, the version, 12 random bits, the variant,
62 random bits. Time and randomness are arguments, so that the functions are pure.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_RANDOM_MASK = (0xFFF << 64) | ((1 << 62) - 1)

RANDOM_BYTES = 10
"""Random bytes that :func:`request_id_at` takes."""


def request_id_at(time: datetime, random: bytes | None = None) -> str:
    """A UUIDv7 whose time bits are ``time`` in whole milliseconds.

    Args:
        time: When the call started; timezone-aware, not before 1970.
        random: Ten random bytes; ``os.urandom`` when not given.

    Returns:
        The id in its 36-character lower-case form.

    Raises:
        ValueError: ``time`` has no timezone, or ``random`` is not ten bytes.
    """
    if time.tzinfo is None:
        raise ValueError(f"time {time!r} has no timezone; give an aware datetime, such as datetime.now(UTC)")
    if random is None:
        random = os.urandom(RANDOM_BYTES)
    elif len(random) != RANDOM_BYTES:
        raise ValueError(f"random has {len(random)} bytes; give exactly {RANDOM_BYTES}")
    milliseconds = (time - _EPOCH) // timedelta(milliseconds=1)
    bits = (milliseconds << 80) | _VERSION_AND_VARIANT | (int.from_bytes(random, "big") & _RANDOM_MASK)
    return str(uuid.UUID(int=bits))


def request_id_time(request_id: str | uuid.UUID) -> datetime:
    """The time a UUIDv7 carries, to the millisecond, in UTC.

    Raises:
        ValueError: ``request_id`` is not a UUID, not of version 7, or of a time after the year 9999.
    """
    parsed = request_id if isinstance(request_id, uuid.UUID) else uuid.UUID(request_id)
    if parsed.version != 7:
        raise ValueError(f"request id {parsed} is a UUID of version {parsed.version}; a version 7 is needed")
    try:
        return _EPOCH + timedelta(milliseconds=parsed.int >> 80)
    except OverflowError as error:
        raise ValueError(f"request id {parsed} carries a time after the year 9999") from error


def new_producer_id() -> str:
    """A random identity for one life of one producing process."""
    return str(uuid.uuid4())
