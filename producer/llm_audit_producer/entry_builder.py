"""From a call to an entry: hashes for content, a price for usage, bounds for everything. No I/O, no clock.

Where content itself is kept, its canonical forms are handed on with the entry: they are at hand here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from llm_audit_producer.call import ABSENT, Call, CanonicalForm
from llm_audit_producer.content.modes import least
from llm_audit_producer.content.sealing import ContentForms
from llm_audit_producer.messages_api import COUNTS, read_usage, says_more_than_columns
from llm_audit_producer.pricing import Priced
from llm_audit_schemas import UNATTRIBUTED, AuditEntry, HashKey, canonical
from llm_audit_schemas.content import input_form
from llm_audit_schemas.content_hash import Part, api_key_fingerprint, digest
from llm_audit_schemas.text import JsonObject, JsonValue, bounded, storable_json

NAME_LIMIT = 512
"""Most characters of an identifier or name."""

MESSAGE_LIMIT = 2048
"""Most characters of an error message."""

TOOL_LIMIT = 64
"""Most tool names an entry keeps."""

RAW_USAGE_BYTES = 8 * 1024
"""Most bytes of JSON of the usage block as reported, and of any other block in ``details``."""

_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{8,}|(?i:bearer\s+[A-Za-z0-9._~+/=-]{8,})|(?i:(?:x-)?api[-_ ]?key\W{1,4})[A-Za-z0-9._-]{8,}"
    r"|(?<=://)[^/\s@]{1,256}@"  # user and password of an address, such as a proxy's
)
_REDACTED = "[redacted]"
_SHORTEST_SECRET = 8

try:
    LIBRARY_VERSION = version("llm-audit-log")
except PackageNotFoundError:
    LIBRARY_VERSION = "unknown"


PriceCall = Callable[[Call], Priced]
"""Prices a call; never raises for a model or usage it does not know."""

KeepContent = Callable[[AuditEntry, ContentForms], None]
"""Takes the content of an entry that keeps it; never waits or raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryBuilder:
    """Makes entries for one producer.

    Attributes:
        price: Prices a call's usage as of its time.
        service: Name of the service, or ``None``.
        environment: Its deployment environment, or ``None``.
        retention_class: Retention policy of the entries.
        hash_key: Key of the content hashes; ``None`` keeps nothing of the content.
        metadata_bytes: Largest metadata, in bytes of JSON.
        content_mode: The most that is kept of content; a call's context may ask for less.
        content_bytes: Most bytes of an input or output that are kept when it is kept itself.
        keep_content: Takes the content of entries whose mode is ``encrypted``.
    """

    price: PriceCall
    service: str | None
    environment: str | None
    retention_class: str
    hash_key: HashKey | None
    metadata_bytes: int
    content_mode: str = "hash"
    content_bytes: int = 768 * 1024
    keep_content: KeepContent | None = None

    def build(self, call: Call, producer_id: str, sequence: int) -> AuditEntry:
        """The entry of a call. Whatever a service or a provider put in, the result fits the contract's bounds."""
        cut: list[str] = []
        mode = self._mode(call)
        forms = _forms(call) if mode != "none" else _NO_FORMS
        entry = self._entry(call, producer_id, sequence, self._content(mode, forms, cut), cut)
        if mode == "encrypted" and self.keep_content is not None:
            self.keep_content(entry, ContentForms(input_form(forms.input, forms.system), forms.output))
        return entry

    def _entry(
        self, call: Call, producer_id: str, sequence: int, content: dict[str, Any], cut: list[str]
    ) -> AuditEntry:
        usage = call.usage
        priced = self.price(call)
        return AuditEntry(
            request_id=call.request_id,
            timestamp=call.started_at,
            producer_id=producer_id,
            sequence=sequence,
            user_id=_name(call.context.user_id) or UNATTRIBUTED,
            tenant=_name(call.context.tenant),
            session_id=_name(call.context.session_id),
            run_id=_name(call.context.run_id),
            service=_name(self.service),
            environment=_name(self.environment),
            api_key_fingerprint=self._fingerprint(call.api_key),
            trace_id=_name(call.trace_id),
            span_id=_name(call.span_id),
            provider=_name(call.provider) or "unknown",
            action=_name(call.action) or "unknown",
            provider_request_id=_name(call.provider_request_id),
            response_id=_name(call.response_id),
            batch_id=_name(call.batch_id),
            custom_id=_name(call.custom_id),
            requested_model=_name(call.requested_model),
            model=_name(call.model) or _name(call.requested_model),
            streamed=call.streamed,
            stop_reason=_name(call.stop_reason),
            tool_names=_tool_names(call.tool_names, cut),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            thinking_tokens=usage.thinking_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_5m_tokens=usage.cache_write_5m_tokens,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            server_tool_requests=usage.server_tool_requests,
            service_tier=_name(usage.service_tier),
            inference_geo=_name(usage.inference_geo),
            speed=_name(usage.speed),
            cost_usd=priced.cost_usd,
            cost_reason=priced.cost_reason,
            price_source=priced.price_source,
            latency_ms=call.latency_ms,
            time_to_first_token_ms=call.time_to_first_token_ms,
            status=call.status,
            error_type=_name(call.error_type),
            error_message=safe_message(call.error_message, call.api_key),
            http_status=call.http_status,
            attempts=call.attempts,
            sanitization_count=call.sanitization_count,
            **content,
            retention_class=self.retention_class,
            library_version=LIBRARY_VERSION,
            sdk=_name(call.sdk),
            metadata=_bounded_json(call.context.metadata, self.metadata_bytes, "metadata", cut),
            details=_details(call, priced.rates, cut),
            truncated=bool(cut),
        )

    def _mode(self, call: Call) -> str:
        """The call's content mode: the producer's, or less where its context asks for less or nothing is there."""
        mode = least(self.content_mode, call.context.content_mode)
        return "none" if mode is None or (mode == "hash" and self.hash_key is None) else mode

    def _content(self, mode: str, forms: _Forms, cut: list[str]) -> dict[str, Any]:
        """The content fields: hashes of what is there, where a key is configured."""
        if mode == "none":
            return {"content_mode": "none"}
        if mode == "encrypted":
            whole = input_form(forms.input, forms.system)
            sizes = {"input": len(whole or b""), "output": len(forms.output or b"")}
            cut += [part for part, size in sizes.items() if size > self.content_bytes]
        fields = {
            "content_mode": mode,
            "canonical_form": canonical.VERSION,
            "input_bytes": _length(forms.input),
            "output_bytes": _length(forms.output),
        }
        if self.hash_key is None:
            return fields
        return {
            **fields,
            "hash_key_id": self.hash_key.key_id,
            "system_prompt_hash": _digest(self.hash_key, "system", forms.system),
            "input_hash": _digest(self.hash_key, "input", forms.input),
            "output_hash": _digest(self.hash_key, "output", forms.output),
        }

    def _fingerprint(self, api_key: str | None) -> str | None:
        return None if self.hash_key is None or not api_key else api_key_fingerprint(self.hash_key, api_key)


@dataclass(frozen=True, slots=True)
class _Forms:
    """Canonical forms of a call's content; ``None`` for what is not known."""

    system: bytes | None
    input: bytes | None
    output: bytes | None


_NO_FORMS = _Forms(None, None, None)


def _forms(call: Call) -> _Forms:
    return _Forms(
        None if call.system is None else _form(call.system, canonical.canonical_system),
        _form(call.input, canonical.canonical_input),
        _form(call.output, canonical.canonical_output),
    )


def _form(content: object, canonicalised: Callable[[object], bytes]) -> bytes | None:
    if content is ABSENT:
        return None
    return content.data if isinstance(content, CanonicalForm) else canonicalised(content)


def safe_message(message: str | None, api_key: str | None = None) -> str | None:
    """An error's words, bounded, without ``api_key`` or anything else that looks like a key, token or password."""
    if message is None:
        return None
    message = message[: 4 * MESSAGE_LIMIT]
    secret = (api_key or "").removeprefix("Bearer ")
    if len(secret) >= _SHORTEST_SECRET:
        message = message.replace(secret, _REDACTED)
    return bounded(_SECRETS.sub(_REDACTED, message), MESSAGE_LIMIT)


def _details(call: Call, rates: JsonObject | None, cut: list[str]) -> JsonObject | None:
    details: dict[str, JsonValue] = {}
    if call.raw_usage is not None and (says_more_than_columns(call.raw_usage) or _differs(call)):
        raw_usage = _bounded_json(call.raw_usage, RAW_USAGE_BYTES, "raw_usage", cut)
        if raw_usage is not None:
            details["raw_usage"] = raw_usage
    if rates is not None:
        details["price_rates"] = rates
    if call.region is not None:
        details["region"] = bounded(call.region, NAME_LIMIT)  # without it the price could not be recomputed
    if call.attempt_statuses:
        details["attempt_statuses"] = [
            bounded(status, NAME_LIMIT) for status in call.attempt_statuses[:TOOL_LIMIT]
        ]
    if call.sanitization_events:
        events = _bounded_json(call.sanitization_events, RAW_USAGE_BYTES, "sanitization_events", cut)
        if events is not None:
            details["sanitization_events"] = events
    if call.invalid:
        details["invalid"] = [bounded(name, NAME_LIMIT) for name in call.invalid[:TOOL_LIMIT]]
    if cut:
        details["truncated"] = list(cut)
    return details or None


def _differs(call: Call) -> bool:
    """Whether counts given beside the usage block say something else than it does."""
    said = read_usage(call.raw_usage or {})
    return any(getattr(said, name) != getattr(call.usage, name) for name in COUNTS)


def _bounded_json(
    value: Mapping[str, object] | None, limit: int, name: str, cut: list[str]
) -> JsonObject | None:
    """``value`` as JSON that PostgreSQL takes, or where it is too large a note of how large it was."""
    if value is None:
        return None
    clean = storable_json(value)
    size = len(json.dumps(clean, ensure_ascii=False).encode())
    if size > limit:
        cut.append(name)
        return {"llm_audit_dropped_bytes": size}
    return clean if isinstance(clean, Mapping) else {"value": clean}


def _tool_names(names: tuple[str, ...] | None, cut: list[str]) -> tuple[str, ...] | None:
    if not names:
        return None
    if len(names) > TOOL_LIMIT:
        cut.append("tool_names")
    return tuple(bounded(name, NAME_LIMIT) for name in names[:TOOL_LIMIT])


def _name(value: str | None) -> str | None:
    return None if value is None else bounded(value, NAME_LIMIT)


def _digest(key: HashKey, part: Part, form: bytes | None) -> str | None:
    return None if form is None else digest(key, part, form)


def _length(form: bytes | None) -> int | None:
    return None if form is None else len(form)
