"""Streams: whatever the caller does with one, exactly one entry, and a true one."""

from __future__ import annotations

import asyncio
import gc
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer.demo.local_api import Asked, LocalApi, Reply
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry, HashKey, content_hash
from tests.producer.streams import delta, error_event, sse, text_stream

CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}


class StreamingApi:
    """Answers every call with one body."""

    def __init__(self) -> None:
        self.reply = Reply(
            200, sse(text_stream()), {"content-type": "text/event-stream", "request-id": "req_s"}
        )

    def streams(self, body: bytes, **headers: str) -> None:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply = Reply(200, body, {**self.reply.headers, **given})

    def answer(self, _asked: Asked) -> Reply:
        return self.reply


@pytest.fixture
def scripted() -> StreamingApi:
    return StreamingApi()


@pytest.fixture
def url(scripted: StreamingApi) -> Iterator[str]:
    with LocalApi(scripted.answer) as api:
        yield api.url


@pytest.fixture
def client(url: str, llm_audit: RecordedAudit) -> Anthropic:
    return Anthropic(base_url=url, api_key="k", max_retries=0).with_middleware(llm_audit.audit)


def only(llm_audit: RecordedAudit) -> AuditEntry:
    gc.collect()
    (entry,) = llm_audit.entries()
    return entry


def take_all(client: Anthropic) -> None:
    for _event in client.messages.create(**CALL, stream=True):
        pass


def take_text(client: Anthropic) -> None:
    with client.messages.stream(**CALL) as stream:
        assert "".join(stream.text_stream) == "Hello"


def take_final_message(client: Anthropic) -> None:
    with client.messages.stream(**CALL) as stream:
        assert stream.get_final_message().usage.output_tokens == 9


def break_at_stop(client: Anthropic) -> None:
    with client.messages.stream(**CALL) as stream:
        for event in stream:
            if event.type == "message_stop":
                break


def take_beta(client: Anthropic) -> None:
    for _event in client.beta.messages.create(**CALL, stream=True):
        pass


def take_raw_response(client: Anthropic) -> None:
    for _event in client.messages.with_raw_response.create(**CALL, stream=True).parse():
        pass


def take_lines(client: Anthropic) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        assert len(list(response.iter_lines())) > 8


@pytest.mark.parametrize(
    ("take", "action"),
    [
        (take_all, "messages.create"),
        (take_text, "messages.stream"),
        (take_final_message, "messages.stream"),
        (break_at_stop, "messages.stream"),
        (take_beta, "beta.messages.create"),
        (take_raw_response, "messages.create"),
        (take_lines, "messages.create"),
    ],
)
def test_a_stream_taken_whole_is_a_success(
    take: Callable[[Anthropic], None], action: str, client: Anthropic, llm_audit: RecordedAudit
) -> None:
    take(client)
    entry = only(llm_audit)
    assert (entry.status, entry.action, entry.streamed) == ("success", action, True)
    assert (entry.input_tokens, entry.output_tokens, entry.cache_read_tokens) == (7, 9, 3)
    assert (entry.cache_write_5m_tokens, entry.cache_write_1h_tokens) == (2, 1)
    assert (entry.stop_reason, entry.response_id, entry.provider_request_id) == (
        "end_turn",
        "msg_stream",
        "req_s",
    )
    assert entry.time_to_first_token_ms is not None
    assert entry.latency_ms is not None
    assert entry.latency_ms >= entry.time_to_first_token_ms
    assert entry.cost_usd is not None


def test_a_streamed_answer_has_the_hash_of_the_same_answer_unstreamed(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    take_all(client)
    key = HashKey.parse("pytest:" + "YSBmaXhlZCBrZXksIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNl")
    assert only(llm_audit).output_hash == content_hash(key, "output", "Hello")


def break_early(client: Anthropic) -> None:
    with client.messages.stream(**CALL) as stream:
        for _text in stream.text_stream:
            break


def close_unread(client: Anthropic) -> None:
    client.messages.create(**CALL, stream=True).close()


def drop_unread(client: Anthropic) -> None:
    client.messages.create(**CALL, stream=True)


def drop_after_one_event(client: Anthropic) -> None:
    next(iter(client.messages.create(**CALL, stream=True)))


def leave_response_unread(client: Anthropic) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True):
        pass


def fail_in_the_loop(client: Anthropic) -> None:
    def serve() -> None:
        with client.messages.stream(**CALL) as stream:
            for _event in stream:
                raise KeyError("the service's own fault")

    with pytest.raises(KeyError):
        serve()


@pytest.mark.parametrize(
    "leave",
    [break_early, close_unread, drop_unread, drop_after_one_event, leave_response_unread, fail_in_the_loop],
)
def test_a_stream_the_caller_leaves_is_aborted(
    leave: Callable[[Anthropic], None], client: Anthropic, llm_audit: RecordedAudit
) -> None:
    leave(client)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "closed_early")
    assert entry.cost_usd is None


def test_a_truncated_stream_raises_nothing_and_is_aborted(
    client: Anthropic, llm_audit: RecordedAudit, scripted: StreamingApi
) -> None:
    scripted.streams(sse(text_stream()[:4]))
    take_all(client)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "truncated_stream")
    assert (entry.input_tokens, entry.output_tokens, entry.stop_reason) == (7, 1, None)


def test_an_error_event_is_an_error_though_the_status_is_200(
    client: Anthropic, llm_audit: RecordedAudit, scripted: StreamingApi
) -> None:
    scripted.streams(sse([*text_stream()[:4], error_event()]))
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"):
        take_all(client)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.http_status) == ("error", "overloaded_error", 200)
    assert entry.error_message == "Overloaded"


def test_usage_that_never_arrived_is_null(
    client: Anthropic, llm_audit: RecordedAudit, scripted: StreamingApi
) -> None:
    scripted.streams(b"")
    take_all(client)
    entry = only(llm_audit)
    assert (entry.status, entry.input_tokens, entry.output_tokens) == ("aborted", None, None)
    assert (entry.model, entry.response_id) == ("claude-sonnet-4-6", None)


def test_a_compressed_stream_is_read(
    client: Anthropic, llm_audit: RecordedAudit, scripted: StreamingApi
) -> None:
    scripted.streams(gzip.compress(sse(text_stream())), content_encoding="gzip")
    take_text(client)
    assert only(llm_audit).output_tokens == 9


def test_tools_and_thinking_fold_to_what_an_unstreamed_answer_holds(
    client: Anthropic, llm_audit: RecordedAudit, scripted: StreamingApi
) -> None:
    events = text_stream()
    tool = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    events[1:6] = [
        {"type": "content_block_start", "index": 0, "content_block": thinking},
        delta({"type": "thinking_delta", "thinking": "Let me see"}),
        delta({"type": "signature_delta", "signature": "c2ln"}),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        delta({"type": "input_json_delta", "partial_json": '{"query": '}, index=1),
        delta({"type": "input_json_delta", "partial_json": '"pads"}'}, index=1),
        {"type": "content_block_stop", "index": 1},
    ]
    scripted.streams(sse(events))
    take_all(client)
    entry = only(llm_audit)
    key = HashKey.parse("pytest:" + "YSBmaXhlZCBrZXksIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNl")
    whole = [
        {**thinking, "thinking": "Let me see", "signature": "c2ln"},
        {**tool, "input": {"query": "pads"}},
    ]
    assert entry.tool_names == ("search",)
    assert entry.output_hash == content_hash(key, "output", whole)


async def take_async(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL) as stream:
        assert "".join([text async for text in stream.text_stream]) == "Hello"


async def break_async(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL) as stream:
        async for _text in stream.text_stream:
            break


async def drop_async(client: AsyncAnthropic) -> None:
    await client.messages.create(**CALL, stream=True)
    gc.collect()


async def cancel_async(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL) as stream:
        async for _event in stream:
            raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("use", "status"),
    [(take_async, "success"), (break_async, "aborted"), (drop_async, "aborted"), (cancel_async, "aborted")],
)
def test_async_streams(
    use: Callable[[AsyncAnthropic], Any], status: str, url: str, llm_audit: RecordedAudit
) -> None:
    async def run() -> None:
        plain = AsyncAnthropic(base_url=url, api_key="k", max_retries=0)
        async with plain.with_middleware(llm_audit.audit) as client:
            await use(client)

    if use is cancel_async:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(run())
    else:
        asyncio.run(run())
    entry = only(llm_audit)
    assert (entry.status, entry.streamed, entry.action) == (
        status,
        True,
        "messages.create" if use is drop_async else "messages.stream",
    )
