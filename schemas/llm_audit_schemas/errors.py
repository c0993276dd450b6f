"""Every error of the contract. A class's docstring says what its instances mean."""

from __future__ import annotations


class ContractError(Exception):
    """Something does not fit the contract between producers and consumers."""


class InvalidEntryError(ContractError, ValueError):
    """A field of an audit entry or marker has a value the contract does not allow."""


class InvalidHashKeyError(ContractError, ValueError):
    """A content hash key is missing its name, too short, or not readable."""


class UndecodableMessageError(ContractError, ValueError):
    """A Kafka message's bytes are not an entry in the Confluent wire format.

    Attributes:
        reason: A short stable word for metrics and dead letters, such as ``not_framed`` or ``bad_body``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownSchemaIdError(UndecodableMessageError):
    """A message names a schema id that nobody configured or registered."""

    def __init__(self, schema_id: int, hint: str) -> None:
        super().__init__("unknown_schema_id", f"schema id {schema_id} is not known here; {hint}")
        self.schema_id = schema_id


class InvalidContentKeyError(ContractError):
    """A key that content is sealed to, or opened with, has another form than it must."""


class UnreadableFormError(ContractError):
    """Bytes that should be a canonical form are none."""
