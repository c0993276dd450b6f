"""Entries and markers to Avro bytes and back."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from operator import attrgetter
from typing import Any, TypeAlias
from uuid import UUID

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from llm_audit_schemas import schema_files, wire
from llm_audit_schemas.entry import COST_QUANTUM, FIELD_NAMES, AuditEntry
from llm_audit_schemas.errors import InvalidEntryError, UndecodableMessageError, UnknownSchemaIdError
from llm_audit_schemas.marker import ProducerMarker
from llm_audit_schemas.schema_files import AvroSchema
from llm_audit_schemas.text import JsonObject, storable, storable_json

Record: TypeAlias = dict[str, Any]
"""A decoded Avro record: field name to value. Its values' types are the schema's."""

WriterSchemas: TypeAlias = Callable[[int], AvroSchema | None]
"""Looks up the writer's schema of a registry id; ``None`` when the registry does not know it."""

_JSON_FIELDS = ("metadata", "details", "digest_salts")
_COST_DIGITS = 24
_COST_CONTEXT = Context(prec=_COST_DIGITS, traps=[InvalidOperation])
_INT_FIELDS = ("attempts", "sanitization_count")
"""Required fields of Avro's 32-bit ``int``: fastavro writes a larger one without a word, and other readers break."""

_INT_LIMIT = 2**31
_values_of = attrgetter(*FIELD_NAMES)
_UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _RecordCodec:
    """Frames and bodies of one schema; knows its fixed id, and a registry's ids when one is configured."""

    schema_name: str

    def __init__(self, *, schema_id: int | None = None, writer_schemas: WriterSchemas | None = None) -> None:
        fixed = wire.FIXED_IDS[self.schema_name]
        self._schema = schema_files.parsed_schema(self.schema_name)
        self._schema_id = fixed if schema_id is None else wire.check_registry_id(schema_id, self.schema_name)
        self._writer_schemas = writer_schemas
        self._known: dict[int, AvroSchema | None] = {fixed: None}
        if schema_id is not None:
            self._known[schema_id] = None

    @property
    def schema_id(self) -> int:
        """The id written into every message."""
        return self._schema_id

    def encode_record(self, record: Mapping[str, Any]) -> bytes:
        """A framed message of a record whose values already have the schema's types.

        Raises:
            InvalidEntryError: a value does not fit its field's type.
        """
        buffer = io.BytesIO()
        try:
            schemaless_writer(buffer, self._schema, record)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            raise InvalidEntryError(f"the record does not fit {self.schema_name}: {error}") from error
        return wire.frame(self._schema_id, buffer.getvalue())

    def decode_record(self, message: bytes | None) -> Record:
        """The record of one framed message, every byte of it accounted for.

        Raises:
            UndecodableMessageError: the frame or the body is not ours; ``reason`` says in a word why.
        """
        schema_id = wire.schema_id_of(message)
        assert message is not None  # noqa: S101 - schema_id_of refuses None
        writer = self._writer_schema(schema_id)
        buffer = io.BytesIO(message)
        buffer.seek(wire.HEADER_BYTES)
        try:
            if writer is None:
                record = schemaless_reader(buffer, self._schema, None)
            else:
                record = schemaless_reader(buffer, writer, self._schema)
        except (
            Exception
        ) as error:  # hostile bytes raise anything: EOFError, MemoryError, UnicodeDecodeError ...
            raise UndecodableMessageError(
                "bad_body", f"the body does not decode as {self.schema_name}: {type(error).__name__}"
            ) from error
        if buffer.tell() != len(message):
            raise UndecodableMessageError(
                "trailing_bytes", f"{len(message) - buffer.tell()} bytes follow the record's end"
            )
        if not isinstance(record, dict):
            raise UndecodableMessageError(
                "bad_body", f"the body decodes to a {type(record).__name__}, not a record"
            )
        return record

    def _writer_schema(self, schema_id: int) -> AvroSchema | None:
        """The writer's schema of an id, or ``None`` where it is ours."""
        if schema_id in self._known:
            return self._known[schema_id]
        if schema_id in wire.RESERVED_IDS:
            raise UnknownSchemaIdError(
                schema_id, "it is a fixed id of another topic's schema or a newer release"
            )
        if self._writer_schemas is None:
            raise UnknownSchemaIdError(
                schema_id, "it is a registry's id; configure the schema registry's address"
            )
        writer = self._writer_schemas(schema_id)
        if writer is None:
            raise UnknownSchemaIdError(schema_id, "the schema registry does not know it either")
        try:
            parsed: AvroSchema = parse_schema(writer)  # type: ignore[assignment]  # a record parses to a dict
        except Exception as error:  # whatever a registry holds, it is the message that cannot be read
            raise UnknownSchemaIdError(
                schema_id, f"the schema registry has it, but not as a readable Avro schema: {error}"
            ) from error
        self._known[schema_id] = parsed
        return parsed


class EntryCodec(_RecordCodec):
    """Audit entries to messages and back.

    Args:
        schema_id: The id a schema registry gave ``audit_entry.v1``; the package's fixed id when not given.
        writer_schemas: Looks up the schemas of other registry ids, so that evolved writers are read too.

    Raises:
        ContractError: the registry's id lies in the reserved range.
    """

    schema_name = schema_files.ENTRY

    def encode(self, entry: AuditEntry) -> bytes:
        """The Kafka message value of an entry.

        Raises:
            InvalidEntryError: a value does not fit its field's type.
        """
        return self.encode_record(entry_record(entry))

    def decode(self, message: bytes | None) -> AuditEntry:
        """The entry of a Kafka message value.

        Raises:
            UndecodableMessageError: the bytes are not an entry.
        """
        record = self.decode_record(message)
        try:
            return _entry_of(record)
        except (ValueError, TypeError, RecursionError) as error:
            raise UndecodableMessageError("invalid_entry", str(error)) from error


class MarkerCodec(_RecordCodec):
    """Producer markers to messages and back; arguments as for :class:`EntryCodec`."""

    schema_name = schema_files.MARKER

    def encode(self, marker: ProducerMarker) -> bytes:
        """The Kafka message value of a marker.

        Raises:
            InvalidEntryError: a value does not fit its field's type.
        """
        record = {name: _plain(getattr(marker, name)) for name in ProducerMarker.__slots__}
        for name in ("producer_id", "predecessor"):
            _check_uuid(name, record[name])
        record["details"] = _json_text("details", marker.details)
        return self.encode_record(record)

    def decode(self, message: bytes | None) -> ProducerMarker:
        """The marker of a Kafka message value.

        Raises:
            UndecodableMessageError: the bytes are not a marker.
        """
        record = self.decode_record(message)
        for name in ("producer_id", "predecessor"):
            if isinstance(record[name], UUID):
                record[name] = str(record[name])
        try:
            record["details"] = _json_object(record["details"])
            return ProducerMarker(**record)
        except (ValueError, TypeError, RecursionError) as error:
            raise UndecodableMessageError("invalid_entry", str(error)) from error


def entry_record(entry: AuditEntry) -> Record:
    """The Avro record of an entry: text made storable, JSON objects as text, the cost at its full scale.

    Raises:
        InvalidEntryError: a value would be written, but could not be read: an id that is no UUID, a number beyond
            its type, a cost with more digits than the contract holds, JSON that is no object.
    """
    record: Record = dict(zip(FIELD_NAMES, _values_of(entry), strict=True))
    for name, value in record.items():
        # Nearly all text is plain ASCII; asking here, instead of in a call for each field, halves the whole.
        if type(value) is str and value.isascii() and "\x00" not in value:
            continue
        if isinstance(value, str):
            record[name] = storable(value)
    _check_uuid("request_id", entry.request_id)
    _check_uuid("producer_id", entry.producer_id)
    for name in _INT_FIELDS:
        number = record[name]
        if not isinstance(number, int) or not -_INT_LIMIT <= number < _INT_LIMIT:
            raise InvalidEntryError(f"{name} is {number!r}; give a whole number that fits 32 bits")
    if entry.cost_usd is not None:
        record["cost_usd"] = _at_scale(entry.cost_usd)
    if entry.tool_names is not None:
        record["tool_names"] = [storable(name) for name in entry.tool_names]
    for name in _JSON_FIELDS:
        record[name] = _json_text(name, getattr(entry, name))
    return record


def _plain(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


def _check_uuid(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, str) or _UUID.fullmatch(value) is None):
        raise InvalidEntryError(f"{name} {value!r} is not a UUID in lower case with hyphens")


def _entry_of(record: Record) -> AuditEntry:
    values = {name: record[name] for name in FIELD_NAMES}
    values["request_id"] = str(record["request_id"])
    values["producer_id"] = str(record["producer_id"])
    if not isinstance(record["timestamp"], datetime):
        raise InvalidEntryError(f"timestamp {record['timestamp']!r} is out of range")
    values["timestamp"] = record["timestamp"].astimezone(UTC)
    if record["tool_names"] is not None:
        values["tool_names"] = tuple(record["tool_names"])
    for name in _JSON_FIELDS:
        values[name] = _json_object(record[name])
    return AuditEntry(**values)


def _at_scale(cost: Decimal) -> Decimal:
    try:
        scaled = cost.quantize(COST_QUANTUM, context=_COST_CONTEXT)
    except ArithmeticError as error:
        raise InvalidEntryError(f"cost_usd {cost} has more than {_COST_DIGITS} digits") from error
    if not scaled.is_finite():
        raise InvalidEntryError(f"cost_usd {cost} is not a number; use None where the cost is not known")
    return scaled


def _json_text(name: str, value: JsonObject | None) -> str | None:
    """A JSON object as text; what JSON or PostgreSQL would refuse is made plain first, which is rarely needed."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidEntryError(
            f"{name} is a {type(value).__name__}; give a mapping, which becomes a JSON object"
        )
    try:
        text = _compact_json(value)
        if "\\u0000" not in text and storable(text) == text:
            return text
    except (TypeError, ValueError, RecursionError):
        pass  # something that is no JSON: made plain below
    return _compact_json(storable_json(value))


def _compact_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _json_object(text: str | None) -> JsonObject | None:
    if text is None:
        return None
    value = json.loads(text)
    if not isinstance(value, dict):
        raise InvalidEntryError(f"a JSON object is needed, not a {type(value).__name__}")
    return value
