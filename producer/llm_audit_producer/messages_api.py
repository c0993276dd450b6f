"""Reading the Messages API: what a request asks and what an answer says. Pure; takes plain JSON.

Absent stays absent: a count the API did not report becomes ``None``, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_audit_producer.call import ABSENT, Call, Tokens

_LARGEST_COUNT = 2**53
"""Beyond what any call can use, and what every reader of the trail can hold, sums included."""

_CACHE_WRITES = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_USAGE_MEMBERS = frozenset(
    {
        "input_tokens",
        "output_tokens",
        "output_tokens_details",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "server_tool_use",
        "service_tier",
        "inference_geo",
        "speed",
    }
)
"""Members of a usage block that have columns."""

COUNTS = (
    "input_tokens",
    "output_tokens",
    "thinking_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "server_tool_requests",
)
"""Those of :class:`~llm_audit_producer.call.Tokens` that have columns and are counts."""


def read_request(call: Call, body: object) -> None:
    """Take from a request's body what was asked: the model, the system prompt, the messages."""
    if not isinstance(body, Mapping):
        return
    if isinstance(body.get("requests"), list):
        _read_batch_request(call, body["requests"])
        return
    call.requested_model = _text(body.get("model"))
    call.system = body.get("system", ABSENT)
    call.input = body.get("messages", body.get("prompt", ABSENT))


def _read_batch_request(call: Call, requests: list[Any]) -> None:
    """What a message batch asks: its requests are its input; its model is theirs where they share one."""
    call.input = requests
    models = {_text(_mapping(_mapping(each).get("params")).get("model")) for each in requests}
    if len(models) == 1:
        call.requested_model = models.pop()


def requested_user(body: object) -> str | None:
    """The user that the API's own ``metadata.user_id`` names."""
    metadata = body.get("metadata") if isinstance(body, Mapping) else None
    return _text(metadata.get("user_id")) if isinstance(metadata, Mapping) else None


def read_message(call: Call, message: object) -> None:
    """Take from an answer's message its id, model, stop reason, content and usage."""
    if not isinstance(message, Mapping):
        return
    if message.get("type") == "message_batch":
        call.batch_id = _text(message.get("id"))
        return
    call.response_id = _text(message.get("id"))
    call.model = _text(message.get("model"))
    call.stop_reason = _text(message.get("stop_reason"))
    content = message.get("content", message.get("completion", ABSENT))
    call.output = content
    call.tool_names = tool_names(content)
    usage = message.get("usage")
    if isinstance(usage, Mapping):
        call.raw_usage = usage
        call.usage = read_usage(usage)


def read_error(call: Call, body: object) -> None:
    """Take from an error's body its type and words."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        call.error_type = _text(error.get("type"))
        call.error_message = _text(error.get("message"))
    if isinstance(body, Mapping) and call.provider_request_id is None:
        call.provider_request_id = _text(body.get("request_id"))


def read_usage(usage: Mapping[str, Any]) -> Tokens:
    """A usage block in the contract's terms.

    Where the API names cache writes but not their lifetime, they are the five-minute kind: the only one there was
    before the API told them apart.
    """
    output_details = _mapping(usage.get("output_tokens_details"))
    writes = _mapping(usage.get("cache_creation"))
    server_tools = _mapping(usage.get("server_tool_use"))
    write_5m = _count(writes.get("ephemeral_5m_input_tokens"))
    write_1h = _count(writes.get("ephemeral_1h_input_tokens"))
    if write_5m is None and write_1h is None:
        write_5m = _count(usage.get("cache_creation_input_tokens"))
    tool_counts = [count for value in server_tools.values() if (count := _count(value)) is not None]
    return Tokens(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        thinking_tokens=_count(output_details.get("thinking_tokens")),
        cache_read_tokens=_count(usage.get("cache_read_input_tokens")),
        cache_write_5m_tokens=write_5m,
        cache_write_1h_tokens=write_1h,
        server_tool_requests=sum(tool_counts) if tool_counts else None,
        web_search_requests=_count(server_tools.get("web_search_requests")),
        service_tier=_text(usage.get("service_tier")),
        inference_geo=_text(usage.get("inference_geo")),
        speed=_text(usage.get("speed")),
    )


def says_more_than_columns(usage: Mapping[str, Any]) -> bool:
    """Whether a usage block holds anything that :func:`read_usage` did not bring into columns.

    Mostly it does not, and an entry that repeats it would be half as large again for nothing.
    """
    said = {name for name, value in usage.items() if value is not None}
    if not said <= _USAGE_MEMBERS:
        return True
    writes = _mapping(usage.get("cache_creation"))
    total = _count(usage.get("cache_creation_input_tokens"))
    if total is None and usage.get("cache_creation_input_tokens") is not None:
        return True  # something was written to the cache, and no column can say how much
    split = [count for name in _CACHE_WRITES if (count := _count(writes.get(name))) is not None]
    return (
        not set(writes) <= set(_CACHE_WRITES)
        or (bool(split) and total is not None and sum(split) != total)
        or not set(_mapping(usage.get("output_tokens_details"))) <= {"thinking_tokens"}
        or any(_count(value) != 0 for value in _mapping(usage.get("server_tool_use")).values())
    )


def tool_names(content: object) -> tuple[str, ...] | None:
    """Names of the tools an answer asks to use, in order, without repeats; ``None`` where there are none."""
    if not isinstance(content, list):
        return None
    names = [
        name
        for block in content
        if isinstance(block, Mapping)
        and str(block.get("type", "")).endswith("tool_use")
        and isinstance(name := block.get("name"), str)
    ]
    return tuple(dict.fromkeys(names)) or None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _LARGEST_COUNT else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
