"""Messages as a hostile or broken writer might send them, with what must become of each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from llm_audit_schemas import MarkerCodec, ProducerMarker, new_producer_id, request_id_at, schema_files, wire
from llm_audit_schemas.codec import Record
from tests.consumer.entries import CODEC, identity_of, new_record

_NOW = datetime.now(UTC)


@dataclass(frozen=True)
class Sent:
    """A message, and the request_id that must be in the log; ``None`` where it must become a dead letter."""

    kind: str
    value: bytes | None
    identity: bytes | None
    request_id: UUID | None


def stream(rng: random.Random, count: int) -> Iterator[Sent]:
    """So many messages; every other one is an ordinary entry."""
    template = new_record()
    names = sorted(_KINDS)
    for sequence in range(count):
        kind = "ordinary" if sequence % 2 else rng.choice(names)
        fresh = {**template, "request_id": UUID(request_id_at(_NOW)), "sequence": sequence}
        yield _KINDS[kind](kind, fresh, rng) if kind in _KINDS else _good(kind, fresh)


def _good(kind: str, record: Record, *, headed: bool = True) -> Sent:
    return Sent(
        kind, CODEC.encode_record(record), identity_of(record) if headed else None, record["request_id"]
    )


def _bad(kind: str, value: bytes | None, identity: bytes | None = None) -> Sent:
    return Sent(kind, value, identity, None)


def _stored(**changes: object) -> Callable[[str, Record, random.Random], Sent]:
    """An entry with values that the producer would never write, and that can be stored."""
    return lambda kind, record, rng: _good(kind, {**record, **changes}, headed=rng.random() < 0.5)


def _refused(**changes: object) -> Callable[[str, Record, random.Random], Sent]:
    return lambda kind, record, _rng: _bad(
        kind, CODEC.encode_record({**record, **changes}), identity_of(record)
    )


def _truncated(kind: str, record: Record, rng: random.Random) -> Sent:
    whole = CODEC.encode_record(record)
    return _bad(kind, whole[: rng.randrange(len(whole))], identity_of(record))


def _random_bytes(kind: str, _record: Record, rng: random.Random) -> Sent:
    return _bad(kind, rng.randbytes(rng.randrange(1, 2000)))


def _random_body(kind: str, _record: Record, rng: random.Random) -> Sent:
    body = rng.randbytes(rng.randrange(400))
    return _bad(kind, wire.frame(wire.FIXED_IDS[schema_files.ENTRY], body), rng.randbytes(16))


def _lengthened(kind: str, record: Record, rng: random.Random) -> Sent:
    return _bad(kind, CODEC.encode_record(record) + rng.randbytes(rng.randrange(1, 50)), identity_of(record))


def _other_identity(kind: str, record: Record, rng: random.Random) -> Sent:
    return _bad(kind, CODEC.encode_record(record), rng.choice([uuid4().bytes, b"", rng.randbytes(17)]))


def _other_schema_id(kind: str, record: Record, rng: random.Random) -> Sent:
    body = CODEC.encode_record(record)[wire.HEADER_BYTES :]
    return _bad(kind, wire.frame(rng.randrange(1, 1000), body), identity_of(record))


def _wrong_magic(kind: str, record: Record, rng: random.Random) -> Sent:
    return _bad(kind, bytes([rng.randrange(1, 256)]) + CODEC.encode_record(record)[1:])


def _marker(kind: str, _record: Record, _rng: random.Random) -> Sent:
    marker = ProducerMarker(
        producer_id=new_producer_id(),
        kind="heartbeat",
        timestamp=_NOW,
        last_sequence=1,
        delivery_mode="memory",
        library_version="0.0.0",
    )
    return _bad(kind, MarkerCodec().encode(marker))


def _marker_as_entry(kind: str, record: Record, rng: random.Random) -> Sent:
    body = (_marker(kind, record, rng).value or b"")[wire.HEADER_BYTES :]
    return _bad(kind, wire.frame(wire.FIXED_IDS[schema_files.ENTRY], body))


def _far_off(kind: str, record: Record, rng: random.Random) -> Sent:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=rng.choice([0, 1, 800_000, 2_900_000]))
    return _good(kind, {**record, "timestamp": when})


_KINDS: dict[str, Callable[[str, Record, random.Random], Sent]] = {
    "tombstone": lambda kind, _record, _rng: _bad(kind, None),
    "nothing": lambda kind, _record, _rng: _bad(kind, b""),
    "random bytes": _random_bytes,
    "random body": _random_body,
    "truncated": _truncated,
    "lengthened": _lengthened,
    "another's identity": _other_identity,
    "unknown schema id": _other_schema_id,
    "wrong magic": _wrong_magic,
    "marker": _marker,
    "marker as entry": _marker_as_entry,
    "json of another shape": _refused(metadata="[1]"),
    "no json": _refused(details='{"a": '),
    "deep json": _refused(metadata='{"a":' * 5_000),
    "unknown status": _refused(status="splendid"),
    "NUL": _stored(user_id="nul\x00", error_message="\x00" * 50),
    "NaN": _stored(details='{"n": NaN, "i": -Infinity, "s": "\\ud800\\u0000"}'),
    "huge text": _stored(error_message="\N{GRINNING FACE}" * 2000, model="m" * 2000),
    "extreme numbers": _stored(latency_ms=2**62, input_tokens=-(2**63), output_tokens=2**63 - 1),
    "extreme cost": _stored(cost_usd=Decimal("-999999999999.999999999999")),
    "separators": _stored(tool_names=["\x00", '"', "\\", "a,b", "{}", "\\N"], error_message="\t\\N\r\n\\."),
    "far off": _far_off,
}
