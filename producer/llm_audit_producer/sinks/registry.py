"""The producer's side of a Confluent Schema Registry: which id our schema has there."""

from __future__ import annotations

from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_schemas import EntryCodec, MarkerCodec, schema_files
from llm_audit_schemas.errors import ContractError
from llm_audit_schemas.wire import check_registry_id


def registered_codec(url: str, topic: str) -> EntryCodec:
    """A codec for entries that writes the registry's id of their schema: see :func:`_registered_id`."""
    return EntryCodec(schema_id=_registered_id(url, topic, schema_files.ENTRY))


def registered_marker_codec(url: str, topic: str) -> MarkerCodec:
    """A codec for markers that writes the registry's id of their schema: see :func:`_registered_id`."""
    return MarkerCodec(schema_id=_registered_id(url, topic, schema_files.MARKER))


def _registered_id(url: str, topic: str, schema_name: str) -> int:
    """The id under which the registry knows a schema of ours, registering it when new.

    Args:
        url: Address of the registry, with credentials where it asks for them.
        topic: The topic; the subject is ``<topic>-value``, the registry clients' default.
        schema_name: Which schema.

    Raises:
        AuditSettingsError: the registry client is not installed.
        SinkError: the registry does not answer or refuses the schema; worth trying again.
    """
    try:
        from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError
    except ImportError as error:
        raise AuditSettingsError(
            "a schema registry is configured but its client is missing: pip install 'llm-audit-log[registry]'"
        ) from error
    schema = Schema(schema_files.schema_text(schema_name), schema_type="AVRO")
    try:
        schema_id = SchemaRegistryClient({"url": url}).register_schema(f"{topic}-value", schema)
        return check_registry_id(schema_id, schema_name)
    except (SchemaRegistryError, OSError) as error:
        raise SinkError(
            "registry", f"the schema registry did not take the schema: {type(error).__name__}"
        ) from error
    except ContractError as error:
        raise SinkError("registry", str(error)) from error
