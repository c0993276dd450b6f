"""Recordings of our own making, in the form of the real ones: each kind of ending, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.producer.streams import error_event, sse, text_stream

_REQUEST: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "How far is the sea?"}],
}
_USAGE: dict[str, Any] = {
    "input_tokens": 21,
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 15},
    "cache_read_input_tokens": 7,
    "cache_creation_input_tokens": 12,
    "cache_creation": {"ephemeral_5m_input_tokens": 8, "ephemeral_1h_input_tokens": 4},
    "service_tier": "standard",
}


def write_recordings(path: Path) -> int:
    """Write a file of synthetic recordings; returns how many of them are message calls."""
    lines = [
        _line("plain", _message()),
        _line("bare-usage", _message(usage={"input_tokens": 1, "output_tokens": 2})),
        _line("refusal", _message(stop_reason="refusal"), path="/v1/messages?beta=true"),
        _line("unknown-model", _message(model="somebody-elses-model")),
        _line("bad-request", _error("invalid_request_error", "max_tokens: too large"), status=400),
        _line("overloaded", _error("overloaded_error", "Overloaded"), status=529),
        _line("stream", sse(text_stream("A long way")).decode(), stream=True),
        _line("cut-stream", sse(text_stream()[:5]).decode(), stream=True),
        _line("broken-stream", sse([*text_stream()[:5], error_event()]).decode(), stream=True),
    ]
    other = _line("tokens", {"input_tokens": 3}, path="/v1/messages/count_tokens")
    path.write_text("\n".join([*lines, other]) + "\n", encoding="utf-8")
    return len(lines)


def _message(**changes: object) -> dict[str, Any]:
    return {
        "id": "msg_synthetic",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": "Not far."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": _USAGE,
        **changes,
    }


def _error(kind: str, text: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_in_the_body"}


def _line(
    name: str,
    body: dict[str, Any] | str,
    *,
    path: str = "/v1/messages",
    status: int = 200,
    stream: bool = False,
) -> str:
    content_type = "text/event-stream" if stream else "application/json"
    record = {
        "id": name,
        "request": {
            "method": "POST",
            "path": path,
            "headers": {"content-type": "application/json"},
            "body": json.dumps({**_REQUEST, "stream": True} if stream else _REQUEST),
        },
        "response": {
            "status": status,
            "headers": {"content-type": content_type, "request-id": f"req_{name}"},
            "body": body if isinstance(body, str) else json.dumps(body),
        },
    }
    return json.dumps(record)
