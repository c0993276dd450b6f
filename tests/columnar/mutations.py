"""Messages gone wrong, in every way that bytes can."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_EDGES = (0x00, 0x01, 0x02, 0x03, 0x04, 0x7F, 0x80, 0x81, 0xFE, 0xFF)

Mutation = Callable[[random.Random, bytes, bytes], bytes]


def _one_byte(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    place = chance.randrange(len(message))
    return message[:place] + bytes([chance.choice(_EDGES)]) + message[place + 1 :]


def _one_bit(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    place = chance.randrange(len(message))
    return message[:place] + bytes([message[place] ^ 1 << chance.randrange(8)]) + message[place + 1 :]


def _byte_more(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    place = chance.randrange(len(message) + 1)
    return message[:place] + bytes([chance.choice(_EDGES)]) + message[place:]


def _byte_less(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    place = chance.randrange(len(message))
    return message[:place] + message[place + 1 :]


def _cut(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    return message[: chance.randrange(len(message))]


def _another_tail(chance: random.Random, message: bytes, other: bytes) -> bytes:
    return message[: chance.randrange(len(message))] + other[chance.randrange(len(other)) :]


def _joined(_chance: random.Random, message: bytes, other: bytes) -> bytes:
    return message + other


def _moved_byte(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    """A byte less at one place and one more at another: two errors that make up for each other."""
    less = _byte_less(chance, message, b"")
    place = chance.randrange(len(less) + 1)
    return less[:place] + bytes([chance.choice(_EDGES)]) + less[place:]


def _longer_number(chance: random.Random, message: bytes, _other: bytes) -> bytes:
    """A byte's highest bit set and zeros put after it: the same number in more bytes, where it was one."""
    place = chance.randrange(len(message))
    padding = b"\x80" * chance.randrange(11) + bytes([chance.choice((0, 1, 2, 0x7F))])
    return message[:place] + bytes([message[place] | 0x80]) + padding + message[place + 1 :]


MUTATIONS: Sequence[Mutation] = (
    _one_byte,
    _one_bit,
    _byte_more,
    _byte_less,
    _cut,
    _another_tail,
    _joined,
    _moved_byte,
    _longer_number,
)


def mutated(chance: random.Random, messages: Sequence[bytes]) -> bytes:
    """One of the messages, with one or two things gone wrong."""
    message = chance.choice(messages)
    for _ in range(chance.choice((1, 1, 1, 2))):
        if message:
            message = chance.choice(MUTATIONS)(chance, message, chance.choice(messages))
    return message
