"""Entries to give to sinks, and a ledger of what a sink reports."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from llm_audit_schemas import AuditEntry, new_producer_id, request_id_at

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Ledger:
    """What a sink reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.delivered_count = 0
        self.left_count = 0
        self.spooled_ids: list[str] = []
        self.delivered_ids: list[str] = []
        self.lost_reasons: Counter[str] = Counter()
        self.lost_ids: list[str] = []
        self.messages: list[str] = []

    def spooled(self, entry: AuditEntry) -> None:
        with self._lock:
            self.spooled_ids.append(entry.request_id)

    def delivered(self, entry: AuditEntry) -> None:
        with self._lock:
            self.delivered_count += 1
            self.delivered_ids.append(entry.request_id)

    def lost(self, entry: AuditEntry, reason: str, message: str) -> None:
        with self._lock:
            self.lost_reasons[reason] += 1
            self.lost_ids.append(entry.request_id)
            self.messages.append(message)

    def left_in_spool(self, count: int) -> None:
        with self._lock:
            self.left_count += count


def entry(sequence: int = 0, at: datetime = NOON, **changes: object) -> AuditEntry:
    made = AuditEntry(
        request_id=request_id_at(at),
        timestamp=at,
        producer_id="00000000-0000-4000-8000-000000000001",
        sequence=sequence,
        user_id="u-1",
        provider="anthropic",
        action="messages.create",
        status="success",
        library_version="test",
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # field names and values are the test's


def entries(count: int, **changes: object) -> list[AuditEntry]:
    """In order, a second apart, of one producer."""
    producer_id = new_producer_id()
    return [
        entry(number, NOON + timedelta(seconds=number), producer_id=producer_id, **changes)
        for number in range(count)
    ]


def full_entry() -> AuditEntry:
    """Every field has a value, and none the same as another of its type."""
    return AuditEntry(
        request_id=request_id_at(NOON),
        timestamp=NOON.replace(microsecond=123456),
        producer_id=new_producer_id(),
        sequence=2**40,
        user_id="user \N{SNOWMAN}",
        tenant="tenant",
        session_id="session",
        service="service",
        environment="environment",
        api_key_fingerprint="0123456789abcdef",
        trace_id="trace",
        span_id="span",
        provider="anthropic",
        action="messages.create",
        provider_request_id="req_1",
        response_id="msg_1",
        run_id="run",
        batch_id="batch",
        custom_id="custom",
        requested_model="asked",
        model="answered",
        streamed=True,
        stop_reason="tool_use",
        tool_names=("one", 'two "quoted", with {braces}'),
        input_tokens=1,
        output_tokens=2,
        thinking_tokens=3,
        cache_read_tokens=4,
        cache_write_5m_tokens=5,
        cache_write_1h_tokens=6,
        server_tool_requests=2**33,
        service_tier="tier",
        inference_geo="geo",
        speed="fast",
        cost_usd=Decimal("123.000000000001"),
        cost_reason="none",
        price_source="a price list",
        latency_ms=7,
        time_to_first_token_ms=8,
        status="aborted",
        error_type="kind",
        error_message="line one\nline\ttwo \\N \\. end",
        http_status=200,
        attempts=9,
        sanitization_count=10,
        content_mode="hash",
        system_prompt_hash="a" * 64,
        input_hash="b" * 64,
        output_hash="c" * 64,
        hash_key_id="key",
        canonical_form=1,
        input_bytes=11,
        output_bytes=12,
        truncated=True,
        retention_class="long",
        library_version="1.2.3",
        sdk="anthropic/9",
        metadata={"text": "a\nb\u2028c", "number": 1.5, "nested": {"list": [1, None, True]}},
        details={"attempt_statuses": ["429"]},
        prev_digest=b"\x00\xff\n",
        entry_mac=b"\\x",
        mac_key_id="mac",
        digest_salts={"user": "00"},
    )
