"""The schema files themselves: documented, decodable in whole batches, one with the dataclasses, shown by examples."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fastavro import schemaless_reader, schemaless_writer
from fastavro.validation import validate

from llm_audit_schemas import (
    AuditEntry,
    EntryCodec,
    HashKey,
    InvalidEntryError,
    InvalidHashKeyError,
    MarkerCodec,
    ProducerMarker,
    request_id_time,
    schema_files,
)
from llm_audit_schemas.codec import entry_record
from tests.contract.examples import JSON_FIELDS, all_examples, example, example_names, record_of

FIELDS = [
    pytest.param(name, field, id=f"{name}:{field['name']}")
    for name in schema_files.ALL
    for field in schema_files.raw_schema(name)["fields"]
]
UNIT = re.compile(
    r"tokens|milliseconds|microseconds|bytes|dollars|requests|attempts|number of|position|sequence|status|version"
    r"|entries|process id",
    re.IGNORECASE,
)


def types_in(schema: Any) -> Iterator[dict[str, Any]]:
    """Every type a schema is made of, as an object."""
    if isinstance(schema, list):
        for branch in schema:
            yield from types_in(branch)
    elif isinstance(schema, dict):
        yield schema
        for key in ("type", "items", "values"):
            if isinstance(schema.get(key), dict | list):
                yield from types_in(schema[key])
        for field in schema.get("fields", ()):
            yield from types_in(field["type"])
    else:
        yield {"type": schema}


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_every_field_says_what_it_means_and_in_what_unit(name: str, field: dict[str, Any]) -> None:
    doc = field.get("doc", "")
    assert doc.endswith("."), f"{name}.{field['name']} has no doc that is a sentence"
    types = list(types_in(field["type"]))
    numeric = any(part["type"] in ("int", "long", "float", "double") for part in types)
    if numeric or any(part.get("logicalType") == "decimal" for part in types):
        assert UNIT.search(doc), f"{name}.{field['name']} is a number, but its doc names no unit: {doc!r}"


@pytest.mark.parametrize("name", schema_files.ALL)
def test_every_record_has_a_doc_and_the_version_in_its_namespace(name: str) -> None:
    schema = schema_files.raw_schema(name)
    assert schema["doc"]
    assert schema["namespace"].endswith(f".{name.rpartition('.')[2]}")


@pytest.mark.parametrize("name", schema_files.ALL)
def test_no_type_that_whole_batch_decoders_choke_on(name: str) -> None:
    for part in types_in(schema_files.raw_schema(name)):
        assert part["type"] not in ("map", "enum", "float", "double"), part
    for field in schema_files.raw_schema(name)["fields"]:
        if isinstance(field["type"], list):
            assert field["type"][0] == "null"
            assert len(field["type"]) == 2
            assert field["default"] is None


def python_type(field: dict[str, Any]) -> str:
    """The annotation that a dataclass gives a field of this Avro type."""
    avro = field["type"]
    nullable = isinstance(avro, list)
    inner = avro[1] if nullable else avro
    kind = inner if isinstance(inner, str) else inner.get("logicalType") or inner["type"]
    annotation = {
        "string": "str",
        "uuid": "str",
        "long": "int",
        "int": "int",
        "boolean": "bool",
        "bytes": "bytes",
        "decimal": "Decimal",
        "timestamp-micros": "datetime",
        "array": "tuple[str, ...]",
    }[kind]
    if field["name"] in JSON_FIELDS:
        annotation = "JsonObject"
    return f"{annotation} | None" if nullable else annotation


@pytest.mark.parametrize(
    ("name", "cls"), [(schema_files.ENTRY, AuditEntry), (schema_files.MARKER, ProducerMarker)]
)
def test_dataclass_and_schema_are_one(name: str, cls: type[AuditEntry] | type[ProducerMarker]) -> None:
    missing = object()
    schema = [
        (field["name"], python_type(field), field.get("default", missing))
        for field in schema_files.raw_schema(name)["fields"]
    ]
    python = [
        (field.name, field.type, missing if field.default is dataclasses.MISSING else field.default)
        for field in dataclasses.fields(cls)
    ]
    assert python == schema


def test_every_schema_has_examples_of_its_cases() -> None:
    entries = [example(schema_files.ENTRY, name) for name in example_names(schema_files.ENTRY)]
    assert {entry["status"] for entry in entries} == {"success", "error", "blocked", "aborted"}
    kinds = {example(schema_files.MARKER, name)["kind"] for name in example_names(schema_files.MARKER)}
    assert kinds == {"started", "heartbeat", "ended"}
    parts = {example(schema_files.CONTENT, name)["part"] for name in example_names(schema_files.CONTENT)}
    assert parts == {"input", "output"}


@pytest.mark.parametrize("name", example_names(schema_files.ENTRY))
def test_an_example_entry_is_valid_and_round_trips(name: str) -> None:
    content = example(schema_files.ENTRY, name)
    entry = AuditEntry.from_json(content)
    assert validate(entry_record(entry), schema_files.parsed_schema(schema_files.ENTRY))
    codec = EntryCodec()
    assert codec.decode(codec.encode(entry)) == entry
    written = entry.as_json()
    assert written == {**AuditEntry.from_json(written).as_json(), **content}
    assert json.loads(json.dumps(written)) == written
    assert request_id_time(entry.request_id) == entry.timestamp.replace(
        microsecond=entry.timestamp.microsecond // 1000 * 1000
    )
    assert (entry.cost_usd is None) == (entry.cost_reason is not None) or name == "minimal"


@pytest.mark.parametrize("name", example_names(schema_files.ENTRY))
def test_an_example_cost_is_its_counts_at_its_rates(name: str) -> None:
    content = example(schema_files.ENTRY, name)
    rates = (content.get("details") or {}).get("price_rates")
    if rates is None:
        assert content.get("cost_usd") is None
        return
    total = sum(
        (
            Decimal(rate) * (content[f"{unit}_tokens"] or 0)
            for unit, rate in rates.items()
            if f"{unit}_tokens" in content
        ),
        Decimal(0),
    )
    searches = (
        (content["details"].get("raw_usage") or {}).get("server_tool_use", {}).get("web_search_requests", 0)
    )
    total = total / 1_000_000 + searches * Decimal(rates.get("web_search", 0)) / 1_000
    assert Decimal(content["cost_usd"]) == total


@pytest.mark.parametrize(("schema", "name"), all_examples(schema_files.MARKER, schema_files.CONTENT))
def test_an_example_record_is_valid_and_round_trips(schema: str, name: str) -> None:
    parsed = schema_files.parsed_schema(schema)
    defaults = {field["name"]: field["default"] for field in parsed["fields"] if "default" in field}
    record = record_of(example(schema, name))
    assert set(record) <= {field["name"] for field in parsed["fields"]}
    assert validate(defaults | record, parsed)
    buffer = io.BytesIO()
    schemaless_writer(buffer, parsed, record)
    buffer.seek(0)
    read: Any = schemaless_reader(buffer, parsed, None)
    assert {
        key: str(value) if isinstance(value, UUID) else value for key, value in read.items()
    } == defaults | record


@pytest.mark.parametrize("name", example_names(schema_files.MARKER))
def test_an_example_marker_goes_through_its_codec(name: str) -> None:
    content = example(schema_files.MARKER, name)
    marker = ProducerMarker(**{**content, "timestamp": record_of(content)["timestamp"]})
    codec = MarkerCodec()
    assert codec.decode(codec.encode(marker)) == marker


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "fine"}, "status 'fine' is unknown"),
        ({"timestamp": "yesterday"}, "not an audit entry"),
        ({"prompt": "hello"}, "prompt"),
        ({"user_id": ""}, "user_id is empty"),
        ({"content_mode": "all"}, "content_mode 'all' is unknown"),
        ({"cost_usd": "a lot"}, "not an audit entry"),
    ],
)
def test_an_example_with_a_mistake_is_refused(change: dict[str, object], message: str) -> None:
    content = {**example(schema_files.ENTRY, "success"), **change}
    with pytest.raises(InvalidEntryError, match=message):
        AuditEntry.from_json(content)


@pytest.mark.parametrize(
    "text", ["{secret}:production", "production:{secret}!", "{secret}", "a b:{secret}", "k:c2hvcnQ="]
)
def test_a_hash_key_that_cannot_be_read_is_never_repeated(text: str) -> None:
    secret = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
    with pytest.raises(InvalidHashKeyError) as caught:
        HashKey.parse(text.format(secret=secret))
    assert secret not in str(caught.value)
    assert "BASE64-SECRET" in str(caught.value) or "random" in str(caught.value)
