"""Version 1 may only grow, and a fixed id always means the same bytes."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from llm_audit_schemas import schema_files, wire
from llm_audit_schemas.compatibility import incompatibilities, layout_fingerprint
from llm_audit_schemas.schema_files import AvroSchema
from tests.contract.freeze import current_layouts, frozen_layouts, frozen_schema

Change = Callable[[dict[str, dict[str, Any]], AvroSchema], object]


@pytest.mark.parametrize("name", schema_files.ALL)
def test_the_schema_is_compatible_with_the_frozen_one(name: str) -> None:
    assert incompatibilities(frozen_schema(name), schema_files.raw_schema(name)) == []


def test_a_fixed_id_never_changes_its_bytes() -> None:
    frozen = frozen_layouts()
    for fixed_id, current in current_layouts().items():
        assert fixed_id in frozen, f"fixed id {fixed_id} is new: run python -m tests.contract.freeze"
        assert frozen[fixed_id] == current, (
            f"the layout of {current['schema']} changed under its fixed id {fixed_id}: whoever has the other version "
            "would read wrong values; give it a new fixed id in wire.FIXED_IDS"
        )
    assert len(set(wire.FIXED_IDS.values())) == len(wire.FIXED_IDS)
    assert all(fixed_id in wire.RESERVED_IDS for fixed_id in wire.FIXED_IDS.values())


def changed(change: Change) -> tuple[AvroSchema, AvroSchema]:
    old = schema_files.raw_schema(schema_files.ENTRY)
    new = copy.deepcopy(old)
    change({field["name"]: field for field in new["fields"]}, new)
    return old, new


def remove(schema: AvroSchema, name: str) -> None:
    schema["fields"] = [field for field in schema["fields"] if field["name"] != name]


def add(schema: AvroSchema, position: int | None = None, **field: object) -> None:
    position = len(schema["fields"]) if position is None else position
    schema["fields"].insert(position, {"name": "added", "doc": "New.", **field})


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 24, "scale": 12}

BREAKING: dict[str, tuple[Change, str]] = {
    "record renamed": (lambda _, s: s.update(name="Entry"), "name changed"),
    "namespace changed": (lambda _, s: s.update(namespace="org.llm_audit.v2"), "namespace changed"),
    "field removed": (lambda _, s: remove(s, "tenant"), "'tenant' was removed"),
    "field renamed": (lambda f, _: f["tenant"].update(name="customer"), "'tenant' was removed or renamed"),
    "field renamed under an alias": (
        lambda f, _: f["tenant"].update(name="customer", aliases=["tenant"]),
        "'tenant' was removed or renamed",
    ),
    "int widened": (lambda f, _: f["attempts"].update(type="long"), '"int" to "long"'),
    "long narrowed": (lambda f, _: f["sequence"].update(type="int"), '"long" to "int"'),
    "made nullable": (
        lambda f, _: f["user_id"].update(type=["null", "string"]),
        "'user_id' changed its type",
    ),
    "made required": (lambda f, _: f["tenant"].update(type="string"), "'tenant' changed its type"),
    "branches swapped": (
        lambda f, _: f["tenant"].update(type=["string", "null"]),
        "'tenant' changed its type",
    ),
    "items changed": (
        lambda f, _: f["tool_names"].update(type=["null", {"type": "array", "items": "bytes"}]),
        "'tool_names' changed its type",
    ),
    "precision changed": (
        lambda f, _: f["cost_usd"].update(type=["null", {**DECIMAL, "precision": 30}]),
        "precision from 24 to 30",
    ),
    "scale changed": (
        lambda f, _: f["cost_usd"].update(type=["null", {**DECIMAL, "scale": 9}]),
        "scale from 12",
    ),
    "logical type changed": (
        lambda f, _: f["timestamp"]["type"].update(logicalType="timestamp-millis"),
        "logicalType from 'timestamp-micros' to 'timestamp-millis'",
    ),
    "logical type dropped": (
        lambda f, _: f["request_id"].update(type="string"),
        "logicalType from 'uuid' to None",
    ),
    "default dropped": (lambda f, _: f["tenant"].pop("default"), "'tenant' lost its default"),
    "default changed": (lambda f, _: f["attempts"].update(default=0), "default from 1 to 0"),
    "default of another type": (lambda f, _: f["truncated"].update(default=0), "default from false to 0"),
    "added without a default": (lambda _, s: add(s, type="string"), "'added' was added without a default"),
    "added with a default that does not fit": (
        lambda _, s: add(s, type=["null", "string"], default="none"),
        "does not fit its (first) type",
    ),
    "added in the middle": (lambda _, s: add(s, 3, type="string", default=""), "'added' was added before"),
    "fields reordered": (lambda _, s: s["fields"].reverse(), "moved"),
    "added twice": (
        lambda _, s: s["fields"].extend([{"name": "added", "type": "int", "default": 0}] * 2),
        "not valid Avro",
    ),
    "added with a type that is none": (lambda _, s: add(s, type="text", default=""), "not valid Avro"),
}


@pytest.mark.parametrize(("change", "message"), BREAKING.values(), ids=BREAKING.keys())
def test_a_breaking_change_is_told(change: Change, message: str) -> None:
    old, new = changed(change)
    found = incompatibilities(old, new)
    assert any(message in sentence for sentence in found), found


@pytest.mark.parametrize(
    "change",
    [
        lambda f, _: f["tenant"].update(doc="Better said."),
        lambda f, _: f["sequence"].update(type={"type": "long"}),
        lambda _, s: add(s, type=["null", "string"], default=None),
        lambda _, s: add(s, type={"type": "array", "items": "string"}, default=[]),
    ],
    ids=["doc", "same type written out", "nullable field added", "array added"],
)
def test_a_change_that_breaks_nothing_passes(change: Change) -> None:
    old, new = changed(change)
    assert incompatibilities(old, new) == []


def test_an_added_field_keeps_the_registry_happy_but_is_another_layout() -> None:
    old, new = changed(lambda _, s: add(s, type=["null", "string"], default=None))
    assert layout_fingerprint(old) != layout_fingerprint(new)
    fields = [{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]
    swapped = {"type": "record", "name": "R", "fields": fields[::-1]}
    assert layout_fingerprint({"type": "record", "name": "R", "fields": fields}) != layout_fingerprint(
        swapped
    )


def test_docs_defaults_and_spelling_are_no_part_of_the_layout() -> None:
    def reword(fields: dict[str, dict[str, Any]], schema: AvroSchema) -> None:
        fields["attempts"].update(doc="x", default=7, type={"type": "int"})
        schema.update(doc="y")

    old, new = changed(reword)
    assert layout_fingerprint(old) == layout_fingerprint(new)


def test_avro_itself_agrees_that_an_addition_is_read_both_ways() -> None:
    old, new = changed(lambda _, s: add(s, type=["null", "string"], default=None))
    record = {
        field["name"]: field.get("default", "00000000-0000-7000-8000-000000000000") for field in old["fields"]
    } | {"timestamp": 0, "sequence": 0}
    for writer, reader in ((old, new), (new, old)):
        buffer = io.BytesIO()
        schemaless_writer(buffer, parse_schema(copy.deepcopy(writer)), record | {"added": None})
        buffer.seek(0)
        read: Any = schemaless_reader(
            buffer, parse_schema(copy.deepcopy(writer)), parse_schema(copy.deepcopy(reader))
        )
        assert set(read) == {field["name"] for field in reader["fields"]}
