"""The example records beside the schemas, as the values that Avro takes."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import resources
from typing import Any

from llm_audit_schemas import schema_files

JSON_FIELDS = ("metadata", "details", "digest_salts")
"""Fields that are a JSON object in an example and JSON text on the wire."""


def example_names(schema: str) -> list[str]:
    folder = resources.files("llm_audit_schemas").joinpath("examples", schema)
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def example(schema: str, name: str) -> dict[str, Any]:
    folder = resources.files("llm_audit_schemas").joinpath("examples", schema)
    content: dict[str, Any] = json.loads(folder.joinpath(f"{name}.json").read_text(encoding="utf-8"))
    return content


def all_examples(*schemas: str) -> list[tuple[str, str]]:
    return [(schema, name) for schema in schemas or schema_files.ALL for name in example_names(schema)]


def record_of(content: dict[str, Any]) -> dict[str, Any]:
    """An example of a marker or of content with the types that its schema's fields have."""
    record = dict(content)
    record["timestamp"] = datetime.fromisoformat(record["timestamp"])
    if record.get("sealed") is not None:
        record["sealed"] = bytes.fromhex(record["sealed"])
    for name in JSON_FIELDS:
        if record.get(name) is not None:
            record[name] = json.dumps(record[name])
    return record
