"""The Confluent wire format: a zero byte, a four-byte big-endian schema id, the Avro body.

The format is Confluent's documented one, so Schema Registry clients, Kafka Connect, Flink and Spark read the
topic. Without a registry a fixed id from a reserved range is used. A registry counts its ids up from 1, so the
range at the top of the positive 32-bit numbers is free; should a registry ever hand out an id inside it, that is
refused rather than mixed up.
"""

from __future__ import annotations

import struct

from llm_audit_schemas import schema_files
from llm_audit_schemas.errors import ContractError, UndecodableMessageError

MAGIC = 0
HEADER_BYTES = 5
_HEADER = struct.Struct(">bi")

RESERVED_IDS = range(0x7FA0_0000, 0x7FB0_0000)
"""Schema ids that mean "this package's own schema, no registry"."""

FIXED_IDS: dict[str, int] = {
    schema_files.ENTRY: 0x7FA0_0001,
    schema_files.MARKER: 0x7FA1_0001,
    schema_files.CONTENT: 0x7FA2_0001,
}
"""The fixed id of each schema of this package. An id is never given to another schema."""

IDENTITY_HEADER = "llm-audit-request-id"
"""Kafka message header with the entry's request_id as 16 raw bytes.

A whole-batch decoder checks every record's boundary and identity against it: concatenated bodies with one short
and one long record decode without an error into wrong values.
"""


def frame(schema_id: int, body: bytes) -> bytes:
    """``body`` with the wire format's header before it."""
    return _HEADER.pack(MAGIC, schema_id) + body


def schema_id_of(message: bytes | None) -> int:
    """The schema id a message names; its body starts at :data:`HEADER_BYTES`.

    Raises:
        UndecodableMessageError: the message is empty, shorter than the header, or has another first byte.
    """
    if message is None:
        raise UndecodableMessageError(
            "empty", "the message has no value (a tombstone); entries are never deleted so"
        )
    if len(message) < HEADER_BYTES or message[0] != MAGIC:
        raise UndecodableMessageError(
            "not_framed",
            f"the message's {len(message)} bytes do not start with the Confluent wire format's zero byte and schema id",
        )
    schema_id: int = _HEADER.unpack_from(message)[1]
    return schema_id


def check_registry_id(schema_id: int, subject: str) -> int:
    """``schema_id``, once sure that a registry did not hand out one of ours.

    Raises:
        ContractError: the id lies in :data:`RESERVED_IDS`.
    """
    if schema_id in RESERVED_IDS:
        raise ContractError(
            f"the schema registry gave subject {subject!r} the id {schema_id}, which is reserved for producers "
            "without a registry; register the schema in a registry context whose ids start lower"
        )
    return schema_id
