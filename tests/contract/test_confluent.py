"""Confluent's own serializers read what we write, and we read what they write, through their real client."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from llm_audit_schemas import (
    AuditEntry,
    ContractError,
    EntryCodec,
    MarkerCodec,
    UndecodableMessageError,
    UnknownSchemaIdError,
    schema_files,
    topics,
    wire,
)
from llm_audit_schemas.codec import entry_record
from llm_audit_schemas.schema_files import AvroSchema
from tests.contract.examples import example, example_names
from tests.contract.local_registry import LocalRegistry, local_registry

SUBJECT = f"{topics.ENTRIES}-value"
CONTEXT = SerializationContext(topics.ENTRIES, MessageField.VALUE)
ENTRY_SCHEMA = schema_files.schema_text(schema_files.ENTRY)


@pytest.fixture
def registry() -> Iterator[LocalRegistry]:
    with local_registry(next_id=41) as server:
        yield server


@pytest.fixture
def client(registry: LocalRegistry) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": registry.url, "max.retries": 0}) as connected:
        yield connected


def entry(name: str = "cached_and_thinking") -> AuditEntry:
    return AuditEntry.from_json(example(schema_files.ENTRY, name))


def writer_schemas(client: SchemaRegistryClient) -> Callable[[int], AvroSchema | None]:
    def look_up(schema_id: int) -> AvroSchema | None:
        try:
            text = client.get_schema(schema_id).schema_str
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return None
            raise
        found: AvroSchema = json.loads(text or "null")
        return found

    return look_up


@pytest.mark.parametrize("name", example_names(schema_files.ENTRY))
def test_confluents_deserializer_reads_what_we_write(client: SchemaRegistryClient, name: str) -> None:
    schema_id = client.register_schema(SUBJECT, Schema(ENTRY_SCHEMA, "AVRO"))
    message = EntryCodec(schema_id=schema_id).encode(entry(name))
    read: Any = AvroDeserializer(client)(message, CONTEXT)
    expected = entry_record(entry(name))
    ids = {key: uuid.UUID(expected[key]) for key in ("request_id", "producer_id")}
    assert read == expected | ids


@pytest.mark.parametrize("name", example_names(schema_files.ENTRY))
def test_we_read_what_confluents_serializer_writes(client: SchemaRegistryClient, name: str) -> None:
    serializer = AvroSerializer(client, ENTRY_SCHEMA)
    message = serializer(entry_record(entry(name)), CONTEXT)
    assert wire.schema_id_of(message) == 41
    assert EntryCodec(schema_id=41).decode(message) == entry(name)
    assert EntryCodec(writer_schemas=writer_schemas(client)).decode(message) == entry(name)


def test_an_evolved_writer_is_read(client: SchemaRegistryClient) -> None:
    evolved = copy.deepcopy(schema_files.raw_schema(schema_files.ENTRY))
    evolved["fields"].append({"name": "mood", "type": "string", "default": "", "doc": "New."})
    serializer = AvroSerializer(client, json.dumps(evolved))
    message = serializer(entry_record(entry()) | {"mood": "curious"}, CONTEXT)
    codec = EntryCodec(writer_schemas=writer_schemas(client))
    assert codec.decode(message) == entry()
    assert codec.decode(message) == entry()


def test_an_older_writer_is_read_with_our_defaults(client: SchemaRegistryClient) -> None:
    older = copy.deepcopy(schema_files.raw_schema(schema_files.ENTRY))
    older["fields"] = [
        field for field in older["fields"] if field["name"] not in ("attempts", "thinking_tokens")
    ]
    record = {
        key: value
        for key, value in entry_record(entry()).items()
        if key not in ("attempts", "thinking_tokens")
    }
    message = AvroSerializer(client, json.dumps(older))(record, CONTEXT)
    read = EntryCodec(writer_schemas=writer_schemas(client)).decode(message)
    assert (read.attempts, read.thinking_tokens, read.output_tokens) == (1, None, entry().output_tokens)


def test_an_unknown_id_is_told(client: SchemaRegistryClient) -> None:
    message = EntryCodec(schema_id=9_000).encode(entry())
    with pytest.raises(UnknownSchemaIdError, match=r"schema id 9000 .* registry does not know it") as caught:
        EntryCodec(writer_schemas=writer_schemas(client)).decode(message)
    assert (caught.value.schema_id, caught.value.reason) == (9_000, "unknown_schema_id")
    with pytest.raises(UnknownSchemaIdError, match="configure the schema registry's address"):
        EntryCodec().decode(message)


@pytest.mark.parametrize(
    "schema", ['"text"', '{"type": "record", "name": "Order", "fields": []}', '{"type": "?"}']
)
def test_another_schema_under_a_registry_id_is_undecodable(registry: LocalRegistry, schema: str) -> None:
    registry.schemas[7] = schema
    with SchemaRegistryClient({"url": registry.url, "max.retries": 0}) as client:
        codec = EntryCodec(writer_schemas=writer_schemas(client))
        with pytest.raises(UndecodableMessageError):
            codec.decode(EntryCodec(schema_id=7).encode(entry()))


@pytest.mark.parametrize(
    "schema_id", [wire.RESERVED_IDS[0], wire.FIXED_IDS[schema_files.ENTRY], wire.RESERVED_IDS[-1]]
)
def test_a_registry_that_hands_out_a_reserved_id_is_refused(schema_id: int) -> None:
    with local_registry(schema_id) as server, SchemaRegistryClient({"url": server.url}) as client:
        given = client.register_schema(SUBJECT, Schema(ENTRY_SCHEMA, "AVRO"))
        with pytest.raises(ContractError, match=f"the id {schema_id}, which is reserved"):
            EntryCodec(schema_id=given)


def test_ids_beside_the_reserved_range_are_a_registrys() -> None:
    for schema_id in (1, wire.RESERVED_IDS[0] - 1, wire.RESERVED_IDS[-1] + 1):
        codec = EntryCodec(schema_id=schema_id)
        assert codec.decode(codec.encode(entry())) == entry()


def test_a_fixed_id_is_never_looked_up_in_a_registry() -> None:
    def look_up(schema_id: int) -> AvroSchema | None:
        raise AssertionError(f"asked for {schema_id}")

    codec = EntryCodec(writer_schemas=look_up)
    assert codec.decode(EntryCodec().encode(entry())) == entry()
    for foreign in (wire.FIXED_IDS[schema_files.MARKER], wire.RESERVED_IDS[99]):
        with pytest.raises(UnknownSchemaIdError, match="another topic's schema or a newer release"):
            codec.decode(wire.frame(foreign, b"\x00"))


def test_a_marker_is_no_entry() -> None:
    message = EntryCodec().encode(entry())
    with pytest.raises(UnknownSchemaIdError):
        MarkerCodec().decode(message)
