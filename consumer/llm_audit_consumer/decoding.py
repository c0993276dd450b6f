"""From messages to rows: each message becomes a row that PostgreSQL will take, or a dead letter with the reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias
from uuid import UUID

from llm_audit_consumer.batch import DeadLetter, Message
from llm_audit_schemas import STATUSES, EntryCodec, UndecodableMessageError, schema_files
from llm_audit_schemas.codec import Record
from llm_audit_schemas.text import NUL_MARK, storable, storable_json
from llm_audit_schemas.wire import FIXED_IDS

Outcome: TypeAlias = "Record | DeadLetter"
"""A row, as the Avro record it came as, or a dead letter."""

_JSON_FIELDS = ("metadata", "details", "digest_salts")
_COST_LIMIT = Decimal(10) ** 12  # numeric(24, 12) holds twelve digits before the point


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    """A message and what it became."""

    message: Message
    outcome: Outcome


class Decoder:
    """The slow path: decodes messages one by one, and alone decides what is a dead letter.

    Args:
        codec: Knows the contract, and a schema registry's ids where there is one.
    """

    def __init__(self, codec: EntryCodec) -> None:
        self._codec = codec

    @property
    def own_schema_ids(self) -> frozenset[int]:
        """The ids under which a message has this release's own schema."""
        return frozenset({self._codec.schema_id, FIXED_IDS[schema_files.ENTRY]})

    def decode(self, messages: Sequence[Message]) -> list[DecodedMessage]:
        """Each message with its row or its dead letter, in the same order."""
        return [DecodedMessage(message, self.decode_one(message)) for message in messages]

    def decode_one(self, message: Message) -> Outcome:
        """The message's row, or its dead letter."""
        try:
            record = self._codec.decode_record(message.value)
            _check_identity(message, record)
            _make_storable(record)
        except UndecodableMessageError as error:
            return DeadLetter(message, error.reason, str(error))
        return record


def _check_identity(message: Message, record: Record) -> None:
    """Hold the record's request_id against the message's header: a shifted record decodes into wrong values."""
    if not isinstance(record["request_id"], UUID) or not isinstance(record["producer_id"], UUID):
        raise UndecodableMessageError("invalid_entry", "request_id or producer_id is no UUID")
    if message.identity is not None and message.identity != record["request_id"].bytes:
        raise UndecodableMessageError(
            "identity_mismatch",
            f"the header names request {message.identity.hex()}, the record {record['request_id']}",
        )


def _make_storable(record: Record) -> None:
    """Make the record's values such as PostgreSQL takes; ours are already, other writers' may not be.

    Raises:
        UndecodableMessageError: a value has no storable form.
    """
    if record["status"] not in STATUSES:
        raise UndecodableMessageError("invalid_entry", "status is none of " + ", ".join(sorted(STATUSES)))
    cost = record["cost_usd"]
    if cost is not None and abs(cost) >= _COST_LIMIT:
        raise UndecodableMessageError("invalid_entry", "cost_usd has more digits than the contract holds")
    for name in _JSON_FIELDS:
        if record[name] is not None:
            record[name] = _storable_object(name, record[name])
    for name, value in record.items():
        if type(value) is str and "\x00" in value:
            record[name] = value.replace("\x00", NUL_MARK)
    if record["tool_names"]:
        record["tool_names"] = [name.replace("\x00", NUL_MARK) for name in record["tool_names"]]


def _storable_object(name: str, text: str) -> str:
    constants: list[str] = []

    def constant(name: str) -> float:
        """NaN, Infinity or -Infinity: numbers that JSON does not have."""
        constants.append(name)
        return float(name)

    try:
        value = json.loads(text, parse_constant=constant)
        # Escapes can name what jsonb refuses.
        unstorable = bool(constants) or ("\\u" in text and _holds_unstorable_text(value))
    except (ValueError, RecursionError) as error:
        raise UndecodableMessageError("invalid_json", f"{name} is no JSON") from error
    if not isinstance(value, dict):
        raise UndecodableMessageError("invalid_json", f"{name} is no JSON object")
    return json.dumps(storable_json(value), ensure_ascii=False) if unstorable else text


def _holds_unstorable_text(value: object) -> bool:
    if isinstance(value, str):
        return storable(value) != value
    if isinstance(value, dict):
        return any(_holds_unstorable_text(each) for member in value.items() for each in member)
    return isinstance(value, list) and any(map(_holds_unstorable_text, value))
