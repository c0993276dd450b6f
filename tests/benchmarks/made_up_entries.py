"""Entries for measuring: the shapes and sizes of real calls, made up from a fixed seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from llm_audit_schemas import AuditEntry, EntryCodec, request_id_at

PRODUCERS = 3
USERS = 2_000
_MODELS = ("claude-haiku-4-5-20251001", "claude-sonnet-4-6", "claude-opus-4-8", "claude-fable-5")
_SERVICES = ("support-bot", "invoice-assistant", "code-review", "search")
_TOOLS = ("look_up_invoice", "send_mail", "web_search", "read_file")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
_RATES = {
    "tier": "standard",
    "input": "3",
    "output": "15",
    "cache_read": "0.3",
    "cache_write_5m": "3.75",
    "cache_write_1h": "6",
    "web_search": "10",
}


def made_up_entries(count: int, *, seed: int = 7) -> Iterator[AuditEntry]:
    """``count`` entries of the last two hours, in order of time.

    Of a hundred some 70 are plain answers, 15 use tools, 11 are streamed, 2 fail, 1 is blocked and 1 is aborted.
    """
    chance = random.Random(seed)
    start = datetime.now(UTC) - timedelta(hours=2)
    producers = [str(UUID(bytes=chance.randbytes(16), version=4)) for _ in range(PRODUCERS)]
    for number in range(count):
        at = start + timedelta(hours=2) * (number / count)
        yield _entry(chance, at, producers[number % PRODUCERS], number // PRODUCERS)


def made_up_messages(count: int, *, seed: int = 7) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Key, value and identity of the messages of :func:`made_up_entries`."""
    codec = EntryCodec()
    for entry in made_up_entries(count, seed=seed):
        yield UUID(entry.producer_id).bytes, codec.encode(entry), UUID(entry.request_id).bytes


def _entry(chance: random.Random, at: datetime, producer_id: str, sequence: int) -> AuditEntry:
    kind = chance.random()
    values: dict[str, Any] = {
        "request_id": request_id_at(at, chance.randbytes(10)),
        "timestamp": at,
        "producer_id": producer_id,
        "sequence": sequence,
        "user_id": f"user-{chance.randrange(USERS)}@example.com",
        "tenant": "example-corp",
        "session_id": f"conversation-{chance.randrange(USERS * 5)}",
        "service": chance.choice(_SERVICES),
        "environment": "production",
        "api_key_fingerprint": "b07074b79fe95906",
        "trace_id": chance.randbytes(16).hex(),
        "span_id": chance.randbytes(8).hex(),
        "provider": "anthropic",
        "action": "messages.create",
        "requested_model": (model := chance.choices(_MODELS, (60, 30, 8, 2))[0]),
        "model": model,
        "price_source": "genai-prices/0.2.3",
        "latency_ms": chance.randrange(300, 30_000),
        "status": "success",
        "content_mode": "hash",
        "system_prompt_hash": "5" * 64,
        "input_hash": chance.randbytes(32).hex(),
        "hash_key_id": "2026-q4",
        "canonical_form": 1,
        "input_bytes": chance.randrange(200, 100_000),
        "library_version": "0.1.0",
        "sdk": "anthropic/2.12.0",
        "metadata": {"ticket": f"INV-{chance.randrange(10_000)}"} if chance.random() < 0.3 else None,
    }
    if kind < 0.02:
        values.update(_failure(chance))
    elif kind < 0.03:
        values.update(status="blocked", error_type="SanitizerError", attempts=0, sanitization_count=1)
    else:
        values.update(_answer(chance))
        if kind < 0.04:
            values.update(
                status="aborted", streamed=True, output_tokens=None, cost_usd=None, cost_reason="incomplete"
            )
        elif kind < 0.15:
            values.update(streamed=True, time_to_first_token_ms=chance.randrange(100, 2_000))
        elif kind < 0.30:
            values.update(
                stop_reason="tool_use", tool_names=tuple(chance.sample(_TOOLS, 2)), run_id=_id(chance, "run")
            )
    return AuditEntry(**values)


def _failure(chance: random.Random) -> dict[str, Any]:
    return {
        "status": "error",
        "error_type": "overloaded_error",
        "error_message": 'Error code: 529 - {"type": "error", "message": "Overloaded\\nplease wait"}',
        "http_status": 529,
        "attempts": 3,
        "provider_request_id": _id(chance, "req"),
        "details": {"attempts": [{"status": 529, "error": "overloaded_error"}] * 3},
    }


def _answer(chance: random.Random) -> dict[str, Any]:
    given, answered = chance.randrange(20, 20_000), chance.randrange(1, 2_000)
    usage = {
        "input_tokens": given,
        "output_tokens": answered,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "inference_geo": "not_available",
        "service_tier": "standard",
    }
    return {
        "provider_request_id": _id(chance, "req"),
        "response_id": _id(chance, "msg"),
        "stop_reason": "end_turn",
        "input_tokens": given,
        "output_tokens": answered,
        "cache_read_tokens": 0,
        "cache_write_5m_tokens": 0,
        "cache_write_1h_tokens": 0,
        "server_tool_requests": 0,
        "service_tier": "standard",
        "inference_geo": "not_available",
        "cost_usd": Decimal(given * 3 + answered * 15) / 1_000_000,
        "http_status": 200,
        "output_hash": chance.randbytes(32).hex(),
        "output_bytes": chance.randrange(20, 20_000),
        "details": {"raw_usage": usage, "price_rates": _RATES},
    }


def _id(chance: random.Random, kind: str) -> str:
    return f"{kind}_01" + "".join(chance.choices(_LETTERS, k=22))
