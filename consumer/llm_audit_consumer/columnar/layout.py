"""How an entry lies in Avro and in PostgreSQL's binary COPY: one :class:`Column` for each field of the schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from llm_audit_schemas import schema_files
from llm_audit_schemas.schema_files import AvroSchema

JSON_FIELDS = frozenset({"metadata", "details", "digest_salts"})
"""Text in Avro, ``jsonb`` in the table."""


class Kind(Enum):
    """What a field is: how to read it from Avro, and what its column takes."""

    LONG = auto()
    INT = auto()
    BOOLEAN = auto()
    TIME = auto()
    UUID = auto()
    DECIMAL = auto()
    TEXT = auto()
    JSON = auto()
    BYTES = auto()
    TEXTS = auto()


COPIED = frozenset({Kind.TEXT, Kind.JSON, Kind.BYTES})
"""Kinds whose bytes go into the COPY as they came from Kafka."""

_KINDS = {
    "long": Kind.LONG,
    "int": Kind.INT,
    "boolean": Kind.BOOLEAN,
    "timestamp-micros": Kind.TIME,
    "uuid": Kind.UUID,
    "decimal": Kind.DECIMAL,
    "string": Kind.TEXT,
    "bytes": Kind.BYTES,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field.

    Attributes:
        name: Of the field and of its column.
        kind: What it is.
        null: The byte in Avro that says "null follows"; ``None`` where the field is never null.
        value: The byte in Avro that says "a value follows", likewise.
    """

    name: str
    kind: Kind
    null: int | None
    value: int | None


def columns_of(schema: AvroSchema) -> Sequence[Column]:
    """The columns of a record schema, in its order.

    Raises:
        ValueError: a field's type is none that the fast path knows.
    """
    return tuple(_column(field["name"], field["type"]) for field in schema["fields"])


def _column(name: str, avro_type: Any) -> Column:
    if not isinstance(avro_type, list):
        return Column(name, _kind(name, avro_type), None, None)
    if len(avro_type) != 2 or "null" not in avro_type:
        raise ValueError(f"field {name} has the type {avro_type}; a union must be of null and one type")
    null = avro_type.index("null")
    # A union's branch is an Avro long, in zigzag: branch 0 is the byte 0, branch 1 the byte 2.
    return Column(name, _kind(name, avro_type[1 - null]), null * 2, (1 - null) * 2)


def _kind(name: str, avro_type: Any) -> Kind:
    if avro_type == {"type": "array", "items": "string"}:
        return Kind.TEXTS
    word = avro_type.get("logicalType", avro_type["type"]) if isinstance(avro_type, dict) else avro_type
    kind = _KINDS.get(str(word))
    if kind is None:
        raise ValueError(f"field {name} has the type {avro_type}, which the fast path does not know")
    return Kind.JSON if name in JSON_FIELDS else kind


ENTRY_COLUMNS = columns_of(schema_files.raw_schema(schema_files.ENTRY))
"""The columns of ``audit_entry.v1``."""
