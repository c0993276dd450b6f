"""The consumer's side of a Confluent Schema Registry: the writer's schema of an id."""

from __future__ import annotations

import json

from llm_audit_consumer.errors import BrokerUnavailableError, ConfigurationError
from llm_audit_schemas.codec import WriterSchemas
from llm_audit_schemas.schema_files import AvroSchema

_NOT_FOUND = 404


def registry_schemas(url: str) -> WriterSchemas:
    """A lookup of writers' schemas by id; each id is asked for once.

    Args:
        url: Address of the registry, with credentials where it asks for them.

    Raises:
        ConfigurationError: the registry client is not installed. The lookup itself raises BrokerUnavailableError when
            the registry does not answer: a schema that cannot be asked for now is no unknown one.
    """
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError
    except ImportError as error:
        raise ConfigurationError(
            "a schema registry is configured but its client is missing",
            "install it with: pip install 'llm-audit-log[registry]'",
        ) from error
    client = SchemaRegistryClient({"url": url})

    def writer_schema(schema_id: int) -> AvroSchema | None:
        try:
            found = client.get_schema(schema_id)
        except Exception as error:  # its HTTP library's own errors come through as they are
            if isinstance(error, SchemaRegistryError) and error.http_status_code == _NOT_FOUND:
                return None
            raise BrokerUnavailableError(
                f"the schema registry does not tell schema {schema_id}: {type(error).__name__}",
                "check that it runs and that LLM_AUDIT_SCHEMA_REGISTRY names it; nothing was skipped, so start again",
            ) from error
        schema: AvroSchema = json.loads(found.schema_str or "null")
        return schema

    return writer_schema
