"""Every way of calling a model that no other test has: asynchronous ones, unread ones, cancelled ones, many at once."""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry
from tests.api.server import Asked, LocalApi, Reply, error_reply, json_reply, message
from tests.producer.streams import sse, text_stream

HTTP: Any = importlib.import_module("httpx2" if int(anthropic.__version__.split(".")[0]) >= 2 else "httpx")
"""The HTTP library that the SDK stands on."""

CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}
SSE = {"content-type": "text/event-stream", "request-id": "req_s"}


class City(BaseModel):
    name: str


class Api:
    """Streams where it is asked for a stream, else gives one answer."""

    def __init__(self) -> None:
        self.reply = json_reply(message('{"name": "Oslo"}'), request_id="req_1")

    def __call__(self, asked: Asked) -> Reply:
        if asked.json().get("stream"):
            return Reply(200, sse(text_stream()), SSE)
        return self.reply


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with LocalApi(api) as server:
        yield server.url


@pytest.fixture
def client(url: str, llm_audit: RecordedAudit) -> Iterator[Anthropic]:
    with Anthropic(base_url=url, api_key="k", max_retries=0).with_middleware(llm_audit.audit) as made:
        yield made


def only(llm_audit: RecordedAudit) -> AuditEntry:
    gc.collect()
    (entry,) = llm_audit.entries()
    assert llm_audit.logger.statistics().capture_errors == {}
    return entry


# -- asynchronous ----------------------------------------------------------------------------------------------

AsyncUse = Callable[[AsyncAnthropic], Coroutine[Any, Any, None]]


async def parsed(client: AsyncAnthropic) -> None:
    found = await client.messages.parse(**CALL, output_format=City)
    assert found.parsed_output == City(name="Oslo")


async def beta(client: AsyncAnthropic) -> None:
    await client.beta.messages.create(**CALL)


async def raw_response(client: AsyncAnthropic) -> None:
    response = await client.messages.with_raw_response.create(**CALL)
    assert response.headers["request-id"] == "req_1"


async def streaming_response(client: AsyncAnthropic) -> None:
    async with client.messages.with_streaming_response.create(**CALL) as response:
        assert (await response.parse()).id == "msg_01"


async def options(client: AsyncAnthropic) -> None:
    await client.with_options(timeout=9).copy(max_retries=1).messages.create(**CALL)


async def events(client: AsyncAnthropic) -> None:
    async for _event in await client.messages.create(**CALL, stream=True):
        pass


async def stream_events(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL) as stream:
        assert [event.type async for event in stream][-1] == "message_stop"


async def final_message(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL) as stream:
        assert (await stream.get_final_message()).usage.output_tokens == 9


async def beta_stream(client: AsyncAnthropic) -> None:
    async with client.beta.messages.stream(**CALL) as stream:
        await stream.until_done()


async def raw_stream(client: AsyncAnthropic) -> None:
    response = await client.messages.with_raw_response.create(**CALL, stream=True)
    stream: Any = response.parse()
    async for _event in await stream if inspect.isawaitable(stream) else stream:  # by the SDK's version
        pass


async def lines_of_stream(client: AsyncAnthropic) -> None:
    async with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        assert len([line async for line in response.iter_lines()]) > 8


async def closed(client: AsyncAnthropic) -> None:
    await (await client.messages.create(**CALL, stream=True)).close()


async def never_iterated(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**CALL):
        pass


async def own_fault(client: AsyncAnthropic) -> None:
    async def serve() -> None:
        async with client.messages.stream(**CALL) as stream:
            async for _event in stream:
                raise KeyError("the service's own secret")

    with pytest.raises(KeyError):
        await serve()


def run_async(use: AsyncUse, url: str, llm_audit: RecordedAudit) -> None:
    async def run() -> None:
        # Few connections, which the calls share: the local server takes only a few new ones at once.
        http = HTTP.AsyncClient(limits=HTTP.Limits(max_connections=4))
        plain = AsyncAnthropic(base_url=url, api_key="k", max_retries=0, http_client=http)
        async with plain.with_middleware(llm_audit.audit) as client:
            await use(client)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("use", "action", "streamed"),
    [
        (parsed, "messages.parse", False),
        (beta, "beta.messages.create", False),
        (raw_response, "messages.create", False),
        (streaming_response, "messages.create", False),
        (options, "messages.create", False),
        (events, "messages.create", True),
        (stream_events, "messages.stream", True),
        (final_message, "messages.stream", True),
        (beta_stream, "beta.messages.stream", True),
        (raw_stream, "messages.create", True),
        (lines_of_stream, "messages.create", True),
    ],
)
def test_asynchronous_calls_taken_whole(
    use: AsyncUse, action: str, streamed: bool, url: str, llm_audit: RecordedAudit
) -> None:
    run_async(use, url, llm_audit)
    entry = only(llm_audit)
    assert (entry.status, entry.action, entry.streamed) == ("success", action, streamed)
    assert (entry.input_tokens, entry.output_tokens) == ((7, 9) if streamed else (12, 5))
    assert entry.cost_usd is not None


@pytest.mark.parametrize("use", [closed, never_iterated, own_fault])
def test_asynchronous_streams_that_are_left(use: AsyncUse, url: str, llm_audit: RecordedAudit) -> None:
    run_async(use, url, llm_audit)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "closed_early")
    assert (entry.error_message, entry.cost_usd, entry.cost_reason is None) == (None, None, False)


# -- streams that are left -------------------------------------------------------------------------------------


def test_a_stream_helper_that_is_entered_and_never_iterated(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    with client.messages.stream(**CALL):
        pass
    assert (only(llm_audit).status, only(llm_audit).error_type) == ("aborted", "closed_early")


def test_a_stream_helper_that_is_never_entered_asks_nothing(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    client.messages.stream(**CALL)
    gc.collect()
    assert llm_audit.entries() == ()


def test_a_fault_of_the_service_s_own_is_left_out_of_the_entry(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    """The call was left early, which is true; why is the service's affair, and its words may hold content."""

    def serve() -> None:
        with client.messages.stream(**CALL) as stream:
            next(iter(stream))
            raise KeyError("the service's own secret")

    with pytest.raises(KeyError):
        serve()
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.error_message) == ("aborted", "closed_early", None)
    assert "secret" not in repr(entry)


def test_usage_counts_what_had_arrived_and_not_only_what_was_taken(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    """The provider bills what it sent; that the caller took one event of it shows in the status."""
    stream = client.messages.create(**CALL, stream=True)
    assert next(iter(stream)).type == "message_start"
    stream.close()
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "closed_early")
    assert (entry.input_tokens, entry.output_tokens) == (7, 9)  # message_start alone says 1
    assert (entry.cost_usd, entry.cost_reason) == (None, "usage_incomplete")


# -- cancelled -------------------------------------------------------------------------------------------------


class Interrupted(HTTP.SyncByteStream):  # type: ignore[misc]  # which library is known at run time
    """A body within which Ctrl-C is pressed."""

    def __iter__(self) -> Iterator[bytes]:
        yield sse(text_stream()[:4])
        raise KeyboardInterrupt


class Endless(HTTP.AsyncByteStream):  # type: ignore[misc]  # which library is known at run time
    """A body that never goes on."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield sse(text_stream()[:4])
        await asyncio.Event().wait()


def test_ctrl_c_within_a_stream(llm_audit: RecordedAudit) -> None:
    transport = HTTP.MockTransport(lambda _request: HTTP.Response(200, headers=SSE, stream=Interrupted()))
    plain = Anthropic(api_key="k", http_client=HTTP.Client(transport=transport))
    with pytest.raises(KeyboardInterrupt), plain.with_middleware(llm_audit.audit) as client:
        for _event in client.messages.create(**CALL, stream=True):
            pass
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "KeyboardInterrupt")
    assert (entry.input_tokens, entry.output_tokens, entry.stop_reason) == (7, 1, None)


async def answered_by(request: Any) -> Any:
    if json.loads(request.content).get("stream"):
        return HTTP.Response(200, headers=SSE, stream=Endless())
    await asyncio.Event().wait()
    return None


async def within_move_on_after(use: AsyncUse, client: AsyncAnthropic) -> None:
    with anyio.move_on_after(0.2) as scope:
        await use(client)
    assert scope.cancelled_caught


async def within_fail_after(use: AsyncUse, client: AsyncAnthropic) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.2):
        await use(client)


async def within_timeout(use: AsyncUse, client: AsyncAnthropic) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await use(client)


async def within_a_failing_task_group(use: AsyncUse, client: AsyncAnthropic) -> None:
    async def fail() -> None:
        await anyio.sleep(0.1)
        raise LookupError

    async def both() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(use, client)
            group.start_soon(fail)

    with pytest.raises(ExceptionGroup):
        await both()


async def create(client: AsyncAnthropic) -> None:
    await client.messages.create(**CALL)


@pytest.mark.parametrize("use", [create, events, final_message])
@pytest.mark.parametrize(
    "cancelled", [within_move_on_after, within_fail_after, within_timeout, within_a_failing_task_group]
)
def test_a_timeout_or_cancellation_around_a_call_is_recorded_and_goes_on(
    cancelled: Callable[[AsyncUse, AsyncAnthropic], Awaitable[None]], use: AsyncUse, llm_audit: RecordedAudit
) -> None:
    async def run() -> None:
        http = HTTP.AsyncClient(transport=HTTP.MockTransport(answered_by))
        async with AsyncAnthropic(api_key="k", http_client=http).with_middleware(llm_audit.audit) as client:
            await cancelled(use, client)

    asyncio.run(run())
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.cost_usd) == ("aborted", "CancelledError", None)
    assert entry.input_tokens == (None if use is create else 7)
    assert entry.input_hash is not None


# -- many at once ----------------------------------------------------------------------------------------------


def test_many_threads_at_once(client: Anthropic, llm_audit: RecordedAudit) -> None:
    def work(number: int) -> None:
        with llm_audit.logger.context(user_id=f"u-{number}"):
            client.messages.create(**CALL)
            with client.messages.stream(**CALL) as stream:
                stream.until_done()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(64)))
    entries = llm_audit.entries()
    assert len({entry.request_id for entry in entries}) == len(entries) == 128
    assert {entry.status for entry in entries} == {"success"}
    assert sorted(entry.sequence for entry in entries) == list(range(128))
    users = [entry.user_id for entry in entries]
    assert all(users.count(f"u-{number}") == 2 for number in range(64))


def test_many_tasks_at_once(url: str, llm_audit: RecordedAudit) -> None:
    async def work(client: AsyncAnthropic, number: int) -> None:
        with llm_audit.logger.context(user_id=f"u-{number}"):
            await create(client)
            await final_message(client)

    async def all_of_them(client: AsyncAnthropic) -> None:
        await asyncio.gather(*(work(client, number) for number in range(64)))

    run_async(all_of_them, url, llm_audit)
    entries = llm_audit.entries()
    assert len({entry.request_id for entry in entries}) == len(entries) == 128
    users = [entry.user_id for entry in entries]
    assert all(users.count(f"u-{number}") == 2 for number in range(64))


# -- told truthfully -------------------------------------------------------------------------------------------


def test_a_refusal_is_a_success_whose_stop_reason_says_so(
    client: Anthropic, api: Api, llm_audit: RecordedAudit
) -> None:
    api.reply = json_reply(message("", content=[], stop_reason="refusal"))
    assert client.messages.create(**CALL).stop_reason == "refusal"
    entry = only(llm_audit)
    assert (entry.status, entry.stop_reason, entry.error_type) == ("success", "refusal", None)


def test_an_error_s_words_are_bounded(client: Anthropic, api: Api, llm_audit: RecordedAudit) -> None:
    api.reply = error_reply(400, "invalid_request_error", "x" * 100_000)
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**CALL)
    assert len(str(caught.value)) > 100_000
    assert len(only(llm_audit).error_message or "") == 2048
