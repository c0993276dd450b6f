"""Which texts of a request are changed, and that nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_audit_producer import Block
from llm_audit_producer.sanitizing.patterns import PatternSanitizer
from llm_audit_producer.sanitizing.text_walk import change_texts

SECRET = "jane@example.com"


def loud(text: str) -> tuple[str, Mapping[str, int]]:
    """Every text is changed, whatever it says."""
    return f"<{text}>", {"text": 1}


def shortened(value: Any) -> Any:
    """A value as it was before, when every change in it was one of ``loud``."""
    if isinstance(value, str):
        return value[1:-1] if value.startswith("<") else value
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    return [shortened(inner) for inner in value] if isinstance(value, list) else value


CHANGED: list[tuple[dict[str, Any], int]] = [
    ({"system": "be brief"}, 1),
    ({"system": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}, 1),
    ({"prompt": "Human: hi"}, 1),
    ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}, 2),
]
CHANGED_BLOCKS: list[tuple[dict[str, Any], int]] = [
    ({"type": "text", "text": "hi"}, 1),
    ({"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": "hi"}, 1),
    (
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hi"}},
            ],
        },
        2,
    ),
    (
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "send",
            "input": {"to": ["a", {"b": "c", "d": 1}], "e": None, "f": True, "type": "g"},
        },
        3,
    ),
    ({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}}, 1),
    ({"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {"a": "b"}}, 1),
    (
        {
            "type": "document",
            "title": "t",
            "context": "c",
            "citations": {"enabled": True},
            "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
        },
        3,
    ),
    ({"type": "document", "source": {"type": "content", "content": "hi"}}, 1),
    ({"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "hi"}]}}, 1),
    (
        {
            "type": "search_result",
            "source": "https://example.com/jane",
            "title": "t",
            "content": [{"type": "text", "text": "hi"}],
            "citations": {"enabled": True},
        },
        3,
    ),
    (
        {
            "type": "text",
            "text": "hi",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "hi",
                    "document_title": "t",
                    "document_index": 0,
                    "start_char_index": 0,
                    "end_char_index": 2,
                },
                {
                    "type": "web_search_result_location",
                    "cited_text": "c",
                    "title": "t",
                    "url": "https://example.com",
                    "encrypted_index": "Eo8B",
                },
            ],
        },
        5,
    ),
    (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "t",
                    "url": "https://a.example",
                    "encrypted_content": "E",
                }
            ],
        },
        1,
    ),
    (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "web_fetch_result",
                "url": "https://a.example",
                "retrieved_at": "2026-01-01",
                "content": {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "hi"},
                },
            },
        },
        1,
    ),
    (
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "srvtoolu_1",
            "content": {
                "type": "bash_code_execution_result",
                "stdout": "out",
                "stderr": "err",
                "return_code": 0,
                "content": [{"type": "bash_code_execution_output", "file_id": "file_1"}],
            },
        },
        2,
    ),
    ({"type": "mcp_tool_result", "tool_use_id": "m", "content": [{"type": "text", "text": "hi"}]}, 1),
    ({"type": "of_tomorrow", "id": "x_1", "text": "hi", "content": [{"type": "text", "text": "ho"}]}, 2),
    ({"text": "a block without a type"}, 1),
]


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        *CHANGED,
        *(({"messages": [{"role": "user", "content": [block]}]}, texts) for block, texts in CHANGED_BLOCKS),
    ],
)
def test_every_text_is_changed_and_nothing_else(body: dict[str, Any], texts: int) -> None:
    before = copy.deepcopy(body)

    sanitized = change_texts(body, loud)

    assert sanitized.events == {"text": texts}
    assert body == before
    assert str(sanitized.body).count("'<") == texts
    assert shortened(sanitized.body) == before


LEFT_ALONE: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": SECRET, "signature": SECRET, "text": SECRET},
    {"type": "redacted_thinking", "data": SECRET},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": SECRET}},
    {"type": "image", "source": {"type": "url", "url": SECRET}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": SECRET}},
    {"type": "document", "source": {"type": "file", "file_id": SECRET}},
    {"type": "container_upload", "file_id": SECRET},
    {"type": "tool_use", "id": SECRET, "name": SECRET, "input": {SECRET: 1}},
    {"type": "web_search_tool_result", "content": {"type": "e", "error_code": SECRET}},
]


@pytest.mark.parametrize("block", LEFT_ALONE)
def test_what_is_no_text_for_the_model_stays(block: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [block]}]}

    sanitized = change_texts(body, loud)

    assert sanitized.body is body
    assert sanitized.events == {}


def test_settings_and_tools_stay() -> None:
    body = {
        "model": SECRET,
        "metadata": {"user_id": SECRET},
        "stop_sequences": [SECRET],
        "tools": [{"name": SECRET, "description": SECRET, "input_schema": {"type": "object"}}],
        "mcp_servers": [{"type": "url", "authorization_token": SECRET}],
        "output_config": {"format": {"type": "json_schema", "schema": {"title": SECRET}}},
    }

    assert change_texts(body, loud).body is body


def test_only_what_changes_is_copied() -> None:
    untouched = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    tools = [{"name": "send"}]
    body = {"messages": [untouched, {"role": "user", "content": SECRET}], "tools": tools}

    sanitized = PatternSanitizer()(body)

    assert sanitized.body["messages"][1] == {"role": "user", "content": "[EMAIL]"}
    assert sanitized.body["messages"][0] is untouched
    assert sanitized.body["tools"] is tools
    assert sanitized.events == {"email": 1}


def test_nothing_to_change_is_the_same_body() -> None:
    body = {"system": "", "messages": [{"role": "user", "content": "hi"}]}

    assert PatternSanitizer()(body).body is body


def test_events_are_counted_over_all_texts() -> None:
    body = {
        "system": SECRET,
        "messages": [
            {"role": "user", "content": f"{SECRET} from 8.8.8.8"},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": SECRET}]},
        ],
    }

    assert PatternSanitizer()(body).events == {"email": 3, "ip_address": 1}


def test_a_text_anywhere_may_stop_the_call() -> None:
    block = {"type": "tool_use", "id": "t", "name": "pay", "input": {"card": ["4111 1111 1111 1111"]}}

    with pytest.raises(Block, match="credit_card found"):
        PatternSanitizer(block={"credit_card"})({"messages": [{"role": "assistant", "content": [block]}]})


def test_an_input_nested_as_deeply_as_json_allows_is_walked() -> None:
    value: Any = SECRET
    for _ in range(150):
        value = [{"a": value}]

    body = {"messages": [{"content": [{"type": "tool_use", "input": value}]}]}

    assert PatternSanitizer()(body).events == {"email": 1}


_NAMES = st.sampled_from(
    [
        "type",
        "text",
        "content",
        "source",
        "input",
        "citations",
        "data",
        "title",
        "messages",
        "system",
        "role",
        "id",
    ]
)
_STRINGS = st.one_of(
    st.text(max_size=8),
    st.sampled_from([SECRET, "text", "tool_use", "tool_result", "document", "thinking", "4111111111111111"]),
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _STRINGS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_NAMES, inner, max_size=4)),
    max_leaves=20,
)
_BODIES = st.dictionaries(_NAMES, _JSON, max_size=4)


def shape(value: Any) -> Any:
    """What is left of a value when its strings are not looked at."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "text" if isinstance(value, str) else value


@given(_BODIES)
def test_any_body_keeps_its_shape(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)

    for change in (loud, PatternSanitizer().redact):
        sanitized = change_texts(body, change)

        assert body == before
        assert shape(sanitized.body) == shape(before)
        assert (sanitized.body is body) == (not sanitized.events)
