"""``AuditEntry``: one LLM API call, as the contract's version 1 says it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llm_audit_schemas.errors import InvalidEntryError
from llm_audit_schemas.text import JsonObject, JsonValue

UNATTRIBUTED = "unattributed"
"""The user_id of a call for which nobody said who asked."""

STATUSES = frozenset({"success", "error", "blocked", "aborted"})
"""How a call can end."""

CONTENT_MODES = frozenset({"none", "hash", "encrypted"})
"""What can be kept of a call's content."""

COST_QUANTUM = Decimal("1E-12")
"""The least step of ``cost_usd``; the contract stores twelve decimal places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One LLM API call: who asked what, when, and how it ended.

    Field names, meanings and units are those of ``avro/audit_entry.v1.avsc``, where each has its ``doc``.
    ``None`` means "not known" or "not reported", never zero. ``metadata`` and ``details`` are JSON objects
    here and JSON text on the wire.

    Raises:
        InvalidEntryError: a value the contract does not allow; the message names field, value and mend.
    """

    # identity
    request_id: str
    timestamp: datetime
    producer_id: str
    sequence: int
    # who
    user_id: str
    tenant: str | None = None
    session_id: str | None = None
    service: str | None = None
    environment: str | None = None
    api_key_fingerprint: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    # what
    provider: str
    action: str
    provider_request_id: str | None = None
    response_id: str | None = None
    run_id: str | None = None
    batch_id: str | None = None
    custom_id: str | None = None
    requested_model: str | None = None
    model: str | None = None
    streamed: bool = False
    stop_reason: str | None = None
    tool_names: tuple[str, ...] | None = None
    # usage, as reported
    input_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    server_tool_requests: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    # cost
    cost_usd: Decimal | None = None
    cost_reason: str | None = None
    price_source: str | None = None
    # timing
    latency_ms: int | None = None
    time_to_first_token_ms: int | None = None
    # outcome
    status: str
    error_type: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    attempts: int = 1
    # redaction
    sanitization_count: int = 0
    # content
    content_mode: str = "none"
    system_prompt_hash: str | None = None
    input_hash: str | None = None
    output_hash: str | None = None
    hash_key_id: str | None = None
    canonical_form: int | None = None
    input_bytes: int | None = None
    output_bytes: int | None = None
    truncated: bool = False
    # provenance
    retention_class: str = "standard"
    library_version: str
    sdk: str | None = None
    metadata: JsonObject | None = None
    details: JsonObject | None = None
    # evidence, filled by later work
    prev_digest: bytes | None = None
    entry_mac: bytes | None = None
    mac_key_id: str | None = None
    digest_salts: JsonObject | None = None

    def __post_init__(self) -> None:
        if self.timestamp.utcoffset() != timedelta(0):
            raise InvalidEntryError(
                f"timestamp {self.timestamp!r} is not in UTC; give an aware datetime, such as datetime.now(UTC)"
            )
        if self.status not in STATUSES:
            raise InvalidEntryError(f"status {self.status!r} is unknown; use one of {sorted(STATUSES)}")
        if self.content_mode not in CONTENT_MODES:
            raise InvalidEntryError(
                f"content_mode {self.content_mode!r} is unknown; use one of {sorted(CONTENT_MODES)}"
            )
        if not self.user_id:
            raise InvalidEntryError(f"user_id is empty; name the user or use {UNATTRIBUTED!r}")
        if self.cost_usd is not None and not isinstance(self.cost_usd, Decimal):
            raise InvalidEntryError(
                f"cost_usd {self.cost_usd!r} is a {type(self.cost_usd).__name__}; give an exact decimal.Decimal"
            )

    def as_json(self) -> dict[str, JsonValue]:
        """The entry as one JSON object: times in ISO 8601, the cost as text, bytes as hex."""
        return {name: _json_value(getattr(self, name)) for name in FIELD_NAMES}

    @classmethod
    def from_json(cls, record: JsonObject) -> AuditEntry:
        """The entry that :meth:`as_json` wrote.

        Raises:
            InvalidEntryError: a required field is missing, unknown, or has a wrong type.
        """
        values: dict[str, object] = dict(record)
        try:
            values["timestamp"] = datetime.fromisoformat(str(values["timestamp"])).astimezone(UTC)
            if values.get("cost_usd") is not None:
                values["cost_usd"] = Decimal(str(values["cost_usd"]))
            if values.get("tool_names") is not None:
                values["tool_names"] = tuple(values["tool_names"])  # type: ignore[arg-type]  # a list, or TypeError below
            for name in ("prev_digest", "entry_mac"):
                if values.get(name) is not None:
                    values[name] = bytes.fromhex(str(values[name]))
            return cls(**values)  # type: ignore[arg-type]  # unknown or missing fields become the TypeError below
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise InvalidEntryError(f"not an audit entry: {error}") from error


FIELD_NAMES: tuple[str, ...] = tuple(field.name for field in dataclasses.fields(AuditEntry))
"""Names of the entry's fields, in the dataclass's order."""


def _json_value(value: object) -> JsonValue:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return list(value)
    return value  # type: ignore[return-value]  # every other field type is plain JSON already
