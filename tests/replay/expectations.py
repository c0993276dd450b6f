"""What an entry must say, read straight from the recorded bytes by code of its own.

It shares nothing with the capture on purpose: the same mistake in both would go unseen.
"""

from __future__ import annotations

import json
from typing import Any

from tests.replay.recordings import Recording

COMPARED = (
    "requested_model",
    "model",
    "response_id",
    "stop_reason",
    "status",
    "http_status",
    "error_type",
    "provider_request_id",
    "streamed",
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)


def expected(recording: Recording) -> dict[str, object]:
    """Column to value for every compared column."""
    common: dict[str, object] = dict.fromkeys(COMPARED)
    common["requested_model"] = common["model"] = recording.request.get("model")
    common["http_status"] = recording.status
    common["streamed"] = recording.is_stream
    common["provider_request_id"] = recording.response_headers.get("request-id")
    if recording.status >= 400:
        body = json.loads(recording.response_body)
        common["status"] = "error"
        common["error_type"] = body["error"]["type"]
        common["provider_request_id"] = common["provider_request_id"] or body.get("request_id")
        return common
    if recording.is_stream:
        return {**common, **_of_stream(recording.response_body)}
    return {**common, "status": "success", **_of_message(json.loads(recording.response_body))}


def _of_message(message: dict[str, Any]) -> dict[str, object]:
    return {
        "model": message["model"],
        "response_id": message["id"],
        "stop_reason": message["stop_reason"],
        **_of_usage(message["usage"]),
    }


def _of_usage(usage: dict[str, Any]) -> dict[str, object]:
    writes = usage.get("cache_creation")
    if writes:
        five_minutes, one_hour = (
            writes.get("ephemeral_5m_input_tokens"),
            writes.get("ephemeral_1h_input_tokens"),
        )
    else:
        five_minutes, one_hour = usage.get("cache_creation_input_tokens"), None
    return {
        "input_tokens": usage.get("input_tokens"),
        "output_tokens": usage.get("output_tokens"),
        "thinking_tokens": (usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        "cache_read_tokens": usage.get("cache_read_input_tokens"),
        "cache_write_5m_tokens": five_minutes,
        "cache_write_1h_tokens": one_hour,
    }


def _of_stream(body: str) -> dict[str, object]:
    """What a whole server-sent-event stream adds up to."""
    found: dict[str, object] = {"status": "aborted", "error_type": "truncated_stream"}
    usage: dict[str, Any] = {}
    for line in body.splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line.removeprefix("data:"))
        if event["type"] == "message_start":
            found.update(_of_message({**event["message"], "usage": {}}))
            usage.update(event["message"]["usage"])
        elif event["type"] == "message_delta":
            found["stop_reason"] = event["delta"]["stop_reason"]
            usage.update({name: value for name, value in event["usage"].items() if value is not None})
        elif event["type"] == "message_stop":
            found.update(status="success", error_type=None)
        elif event["type"] == "error":
            found.update(status="error", error_type=event["error"]["type"])
    return {**found, **_of_usage(usage)}


def differences(recording: Recording, row: dict[str, object]) -> list[str]:
    """Each compared column that does not say what the recording does."""
    return [
        f"{recording.id}: {column} is {row[column]!r}, the recording says {value!r}"
        for column, value in expected(recording).items()
        if row[column] != value
    ]
