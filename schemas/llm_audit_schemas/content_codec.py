"""Sealed content to Avro bytes and back."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from llm_audit_schemas import schema_files
from llm_audit_schemas.codec import _check_uuid, _plain, _RecordCodec
from llm_audit_schemas.content import AuditContent
from llm_audit_schemas.errors import InvalidEntryError, UndecodableMessageError

_NAMES = tuple(each.name for each in fields(AuditContent))


class ContentCodec(_RecordCodec):
    """Sealed content to messages and back; arguments as for ``EntryCodec``."""

    schema_name = schema_files.CONTENT

    def encode(self, content: AuditContent) -> bytes:
        """The Kafka message value of one part of a call's content.

        Raises:
            InvalidEntryError: a value does not fit its field's type.
        """
        record: dict[str, Any] = {name: _plain(getattr(content, name)) for name in _NAMES}
        _check_uuid("request_id", record["request_id"])
        return self.encode_record(record)

    def decode(self, message: bytes | None) -> AuditContent:
        """The content of a Kafka message value.

        Raises:
            UndecodableMessageError: the bytes are not content.
        """
        record = self.decode_record(message)
        if not isinstance(record["request_id"], UUID):
            raise UndecodableMessageError("invalid_entry", "request_id is no UUID")
        if not isinstance(record["timestamp"], datetime):
            raise UndecodableMessageError("invalid_entry", "timestamp is out of range")
        values = {name: record[name] for name in _NAMES}
        values["request_id"] = str(record["request_id"])
        values["timestamp"] = record["timestamp"].astimezone(UTC)
        try:
            return AuditContent(**values)
        except InvalidEntryError as error:
            raise UndecodableMessageError("invalid_entry", str(error)) from error
