"""The SDK behaves with the middleware as without it: same objects, same events, same exceptions."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from llm_audit_producer.pytest_plugin import RecordedAudit
from tests.api.server import Asked, LocalApi, Reply, error_reply, json_reply, message
from tests.producer.outcomes import Emit, see, see_async
from tests.producer.streams import error_event, sse, text_stream
from tests.replay.drive import arguments_of
from tests.replay.recordings import Recording, read_recordings
from tests.replay.synthetic import write_recordings

ROOT = Path(__file__).parents[2]
RECORDED = Path(
    os.environ.get("LLM_AUDIT_RECORDINGS", ROOT.parent / "shared" / "recordings" / "anthropic.jsonl")
)
Use = Callable[[Anthropic, Emit], None]
CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture(params=["synthetic", "recorded"])
def recordings(request: pytest.FixtureRequest, tmp_path: Path) -> list[Recording]:
    if request.param == "recorded":
        if not RECORDED.exists():
            pytest.skip(f"the recorded API traffic is not here: {RECORDED}")
        return list(read_recordings(RECORDED))
    write_recordings(tmp_path / "own.jsonl")
    return list(read_recordings(tmp_path / "own.jsonl"))


def serving(recordings: list[Recording]) -> LocalApi:
    by_id = {recording.id: recording for recording in recordings}

    def answer(asked: Asked) -> Reply:
        recording = by_id[asked.headers["x-recording-id"]]
        return Reply(recording.status, recording.response_body.encode(), recording.response_headers)

    return LocalApi(answer)


def use(client: Anthropic, recording: Recording) -> Callable[[Emit], None]:
    def run(emit: Emit) -> None:
        if not recording.is_message:
            emit(send_otherwise(client, recording))
            return
        messages = client.beta.messages if recording.is_beta else client.messages
        answer = messages.create(**arguments_of(messages.create, recording))
        if not recording.is_stream:
            emit(answer)
            return
        for event in answer:
            emit(event)

    return run


def send_otherwise(client: Any, recording: Recording) -> Any:
    """A call of another endpoint than the Messages API's, its body sent as it was recorded."""
    options: dict[str, Any] = {"headers": {"x-recording-id": recording.id}}
    if recording.method == "GET":
        return client.get(recording.path, cast_to=object, options=options)
    send = client.delete if recording.method == "DELETE" else client.post
    body = recording.request_body if recording.request_body.startswith("{") else "{}"
    return send(recording.path, cast_to=object, content=body.encode(), options=options)


def use_async(client: AsyncAnthropic, recording: Recording) -> Callable[[Emit], Any]:
    async def run(emit: Emit) -> None:
        if not recording.is_message:
            emit(await send_otherwise(client, recording))
            return
        messages = client.beta.messages if recording.is_beta else client.messages
        answer = await messages.create(**arguments_of(messages.create, recording))
        if not recording.is_stream:
            emit(answer)
            return
        async for event in answer:
            emit(event)

    return run


def is_model_call(recording: Recording) -> bool:
    return recording.is_message or recording.endpoint in {"/v1/complete", "/v1/messages/batches"}


def assert_entries(llm_audit: RecordedAudit, recordings: list[Recording]) -> None:
    """One entry for each call of a model, and none for anything else."""
    assert len(llm_audit.entries()) == sum(map(is_model_call, recordings))
    assert llm_audit.logger.statistics().capture_errors == {}


def assert_same_requests(api: LocalApi) -> None:
    """What the server was asked by a client with the middleware, it was asked by the one without."""
    for with_us, without in zip(api.asked[::2], api.asked[1::2], strict=True):
        assert sent(with_us) == sent(without)


def sent(asked: Asked) -> tuple[object, ...]:
    """A request without what the SDK itself makes anew for each call, and adds where there is any middleware."""
    own = {"idempotency-key", "x-stainless-raw-response"}
    headers = {name: value for name, value in asked.headers.items() if name not in own}
    return asked.method, asked.path, headers, asked.body


def test_recordings_sync(recordings: list[Recording], llm_audit: RecordedAudit) -> None:
    with serving(recordings) as api, Anthropic(base_url=api.url, api_key="k", max_retries=0) as plain:
        audited = plain.with_middleware(llm_audit.audit)
        for recording in recordings:
            assert see(use(audited, recording)) == see(use(plain, recording)), recording.id
    assert_same_requests(api)
    assert_entries(llm_audit, recordings)


def test_recordings_async(recordings: list[Recording], llm_audit: RecordedAudit) -> None:
    async def run() -> None:
        async with AsyncAnthropic(base_url=api.url, api_key="k", max_retries=0) as plain:
            audited = plain.with_middleware(llm_audit.audit)
            for recording in recordings:
                with_us = await see_async(use_async(audited, recording))
                assert with_us == await see_async(use_async(plain, recording)), recording.id

    with serving(recordings) as api:
        asyncio.run(run())
    assert_same_requests(api)
    assert_entries(llm_audit, recordings)


class Pair:
    """A client without the middleware, from which one with it is made; and what both are answered."""

    def __init__(self) -> None:
        self.reply = Reply()
        self._api = LocalApi(lambda _asked: self.reply)
        self._api.__enter__()
        self.plain = Anthropic(base_url=self._api.url, api_key="k", max_retries=0)

    def close(self) -> None:
        self.plain.close()
        self._api.__exit__(None, None, None)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


class City(BaseModel):
    name: str


def text_of_stream(client: Anthropic, emit: Emit) -> None:
    with client.messages.stream(**CALL) as stream:
        emit(type(stream))
        emit(stream.request_id)
        for text in stream.text_stream:
            emit(text)
        emit(stream.get_final_message())
        emit(stream.get_final_text())


def events_of_stream(client: Anthropic, emit: Emit) -> None:
    with client.messages.stream(**CALL) as stream:
        for event in stream:
            emit(event)
        emit(stream.current_message_snapshot)
        emit(stream.response.is_closed)


def part_of_stream(client: Anthropic, emit: Emit) -> None:
    with client.messages.stream(**CALL) as stream:
        for event in stream:
            emit(event)
            if event.type == "text":
                break
        stream.close()
        for event in stream:
            emit(event)


def final_of_beta_stream(client: Anthropic, emit: Emit) -> None:
    with client.beta.messages.stream(**CALL) as stream:
        stream.until_done()
        emit(stream.get_final_message())


def raw_stream(client: Anthropic, emit: Emit) -> None:
    response = client.messages.with_raw_response.create(**CALL, stream=True)
    emit((type(response), response.status_code, response.headers["request-id"], response.is_closed))
    for event in response.parse():
        emit(event)
    emit(response.is_closed)


def lines_of_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        emit((type(response), response.status_code, response.num_bytes_downloaded))
        for line in response.iter_lines():
            emit(line)
        emit(response.num_bytes_downloaded)
    emit(response.is_closed)


def bytes_of_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        emit(b"".join(response.iter_bytes()))


def unread_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        emit(response.status_code)
    emit(response.is_closed)


def twice_parsed_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        first = response.parse()
        emit(first is response.parse())
        for event in first:
            emit(event)


def other_type_of_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        emit(response.parse(to=str))


STREAM_USES = (
    text_of_stream,
    events_of_stream,
    part_of_stream,
    final_of_beta_stream,
    raw_stream,
    lines_of_streaming_response,
    bytes_of_streaming_response,
    unread_streaming_response,
    twice_parsed_streaming_response,
    other_type_of_streaming_response,
)


@pytest.mark.parametrize("stream", ["whole", "cut", "failing", "damaged"])
@pytest.mark.parametrize("use", STREAM_USES)
def test_streams(use: Use, stream: str, pair: Pair, llm_audit: RecordedAudit) -> None:
    body = {
        "whole": sse(text_stream()),
        "cut": sse(text_stream()[:5]),
        "failing": sse([*text_stream()[:4], error_event()]),
        "damaged": sse(text_stream()[:4]) + b"event: content_block_delta\ndata: {not json\n\n",
    }[stream]
    reply = Reply(200, body, {"content-type": "text/event-stream", "request-id": "req_1"})
    compare(use, pair, reply, llm_audit)


def parsed(client: Anthropic, emit: Emit) -> None:
    message = client.messages.parse(**CALL, output_format=City)
    emit(message)
    emit(message.parsed_output)


def created(client: Anthropic, emit: Emit) -> None:
    emit(client.messages.create(**CALL))


def raw_response(client: Anthropic, emit: Emit) -> None:
    response = client.messages.with_raw_response.create(**CALL)
    emit((type(response), response.status_code, response.request_id))
    emit(response.parse())
    emit(response.retries_taken)


def streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.messages.with_streaming_response.create(**CALL) as response:
        emit((type(response), response.is_closed))
        emit(response.json())


def parsed_streaming_response(client: Anthropic, emit: Emit) -> None:
    with client.beta.messages.with_streaming_response.create(**CALL) as response:
        emit(response.parse())
        emit(response.read())


def counted(client: Anthropic, emit: Emit) -> None:
    emit(client.messages.count_tokens(model=CALL["model"], messages=CALL["messages"]))


def with_options(client: Anthropic, emit: Emit) -> None:
    emit(client.with_options(timeout=5).copy(max_retries=0).messages.create(**CALL))


def bad_argument(client: Anthropic, emit: Emit) -> None:
    emit(client.messages.create(**{**CALL, "messages": object()}))


@pytest.mark.parametrize(
    "reply",
    [
        json_reply(message('{"name": "Oslo"}'), request_id="req_1"),
        json_reply(message("no city")),
        json_reply(message("ok"), 201),
        error_reply(400, "invalid_request_error", "bad", request_id="req_2"),
        error_reply(429, "rate_limit_error", "slow down", retry_after="1"),
        error_reply(529, "overloaded_error", "Overloaded"),
        Reply(200, b"not json", {"content-type": "application/json"}),
        Reply(200, b"<html>", {"content-type": "text/html"}),
        Reply(502, b"<html>", {"content-type": "text/html"}),
        Reply(200, b"[1]", {"content-type": "application/json"}),
        Reply(204, b"", {}),
        Reply(200, b"short", {"content-type": "application/json"}, missing_bytes=10),
        Reply(500, b"short", {"content-type": "application/json"}, missing_bytes=10),
        Reply(hang_up=True),
        Reply(200, b"not gzip", {"content-type": "application/json", "content-encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:9].decode()}",
)
@pytest.mark.parametrize(
    "use",
    [
        created,
        parsed,
        raw_response,
        streaming_response,
        parsed_streaming_response,
        with_options,
        bad_argument,
        counted,
    ],
)
def test_answers(use: Use, reply: Reply, pair: Pair, llm_audit: RecordedAudit) -> None:
    compare(use, pair, reply, llm_audit, entries=0 if use is counted else 1)


def compare(use: Use, pair: Pair, reply: Reply, llm_audit: RecordedAudit, entries: int = 1) -> None:
    pair.reply = reply
    with_us = see(partial(use, pair.plain.with_middleware(llm_audit.audit)))
    assert with_us == see(partial(use, pair.plain))
    if use in STREAM_USES:
        gc.collect()  # a stream may have been left unread
    assert len(llm_audit.entries()) == entries
    assert llm_audit.logger.statistics().capture_errors == {}
