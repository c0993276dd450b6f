"""The contract between everyone who writes the audit trail and everyone who reads it.

An API call becomes an :class:`AuditEntry`; :class:`EntryCodec` turns it into bytes in the Confluent wire
format and back. The Avro files in ``avro/`` are the contract itself, the examples beside them are held to it
by tests, and :mod:`llm_audit_schemas.compatibility` says what would break it.
"""

from llm_audit_schemas.codec import EntryCodec, MarkerCodec
from llm_audit_schemas.content_hash import HashKey, content_hash
from llm_audit_schemas.entry import STATUSES, UNATTRIBUTED, AuditEntry
from llm_audit_schemas.errors import (
    ContractError,
    InvalidEntryError,
    InvalidHashKeyError,
    UndecodableMessageError,
    UnknownSchemaIdError,
)
from llm_audit_schemas.identifiers import new_producer_id, request_id_at, request_id_time
from llm_audit_schemas.marker import ProducerMarker

__all__ = [
    "STATUSES",
    "UNATTRIBUTED",
    "AuditEntry",
    "ContractError",
    "EntryCodec",
    "HashKey",
    "InvalidEntryError",
    "InvalidHashKeyError",
    "MarkerCodec",
    "ProducerMarker",
    "UndecodableMessageError",
    "UnknownSchemaIdError",
    "content_hash",
    "new_producer_id",
    "request_id_at",
    "request_id_time",
]
