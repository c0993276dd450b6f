"""The Avro files of the contract, parsed once."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from fastavro import parse_schema

AvroSchema: TypeAlias = dict[str, Any]
"""A record schema as JSON; Avro's grammar is recursive, so its values are not typed further."""

ENTRY = "audit_entry.v1"
MARKER = "producer_marker.v1"
CONTENT = "audit_content.v1"
ALL = (ENTRY, MARKER, CONTENT)


@cache
def schema_text(name: str) -> str:
    """The text of one schema file, such as ``audit_entry.v1``."""
    return resources.files(__package__).joinpath("avro", f"{name}.avsc").read_text(encoding="utf-8")


def raw_schema(name: str) -> AvroSchema:
    """One schema as plain JSON, as its file has it."""
    schema: AvroSchema = json.loads(schema_text(name))
    return schema


@cache
def parsed_schema(name: str) -> AvroSchema:
    """One schema as fastavro wants it."""
    parsed: AvroSchema = parse_schema(raw_schema(name))  # type: ignore[assignment]  # a record parses to a dict
    return parsed
