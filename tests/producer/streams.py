"""Streams as the API sends them, for tests: event lists and their bytes."""

from __future__ import annotations

import json
from typing import Any

Events = list[dict[str, Any]]


def text_stream(text: str = "Hello", *, model: str = "claude-sonnet-4-6") -> Events:
    """A whole stream of one text block, its text in two deltas."""
    half = len(text) // 2
    return [
        {"type": "message_start", "message": _message(model)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        delta({"type": "text_delta", "text": text[:half]}),
        delta({"type": "text_delta", "text": text[half:]}),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 9},
        },
        {"type": "message_stop"},
    ]


def delta(body: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": body}


def error_event(kind: str = "overloaded_error", text: str = "Overloaded") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}}


def sse(events: Events) -> bytes:
    """The events as server-sent events."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def _message(model: str) -> dict[str, Any]:
    return {
        "id": "msg_stream",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 7,
            "output_tokens": 1,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
            "service_tier": "standard",
        },
    }
