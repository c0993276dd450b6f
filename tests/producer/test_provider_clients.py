"""The SDK's clients for other platforms: each call captured once, under the platform's name."""

from __future__ import annotations

import asyncio
import base64
import binascii
import gc
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import anthropic
import pytest
from google.oauth2.credentials import Credentials

from llm_audit_producer.pytest_plugin import RecordedAudit
from tests.api.server import Asked, LocalApi, Reply, json_reply, message
from tests.producer.outcomes import Emit, see
from tests.producer.streams import Events, sse, text_stream

MODEL = "claude-sonnet-4-5-20250929"
CALL: dict[str, Any] = {"max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}


@dataclass(frozen=True)
class Platform:
    """One client of the SDK.

    Attributes:
        name: The class's name; ``Async`` before it names the asynchronous one.
        provider: What the entry says.
        arguments: Fake credentials, and where nothing is really sent.
        model: The model in the platform's own words.
    """

    name: str
    provider: str
    arguments: dict[str, Any]
    model: str = MODEL
    aws_frames: bool = False
    priced: bool = False
    """Whether the price source knows what this platform takes; else the cost is null, never Anthropic's own."""


AWS = {"aws_region": "us-east-1", "aws_access_key": "AKIAFAKE", "aws_secret_key": "fake"}
GOOGLE = {"region": "us-east5", "access_token": "fake-token"}
BEDROCK_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PLATFORMS = (
    Platform("AnthropicBedrock", "aws.bedrock", AWS, BEDROCK_MODEL, aws_frames=True, priced=True),
    Platform("AnthropicBedrockMantle", "aws.bedrock", AWS, "anthropic.claude-sonnet-4-5"),
    Platform("AnthropicVertex", "gcp.vertex_ai", {**GOOGLE, "project_id": "p"}, "claude-sonnet-4-5@20250929"),
    Platform("AnthropicFoundry", "azure.ai.foundry", {"api_key": "fake"}, priced=True),
    Platform("AnthropicAWS", "aws.claude", {**AWS, "workspace_id": "wrkspc_1"}),
    Platform(
        "AnthropicGoogleCloud",
        "gcp.claude",
        {
            "project": "p",
            "location": "global",
            "workspace_id": "wrkspc_1",
            "credentials": Credentials("fake-token"),  # type: ignore[no-untyped-call]  # google-auth is untyped
        },
    ),
)


def frame(event: dict[str, Any]) -> bytes:
    """An event in AWS's event-stream framing: prelude, headers and payload, each part with its checksum."""
    inner = {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}
    payload = json.dumps(inner).encode()
    headers = b"".join(
        struct.pack("!B", len(name)) + name + struct.pack("!BH", 7, len(value)) + value
        for name, value in (
            (b":event-type", b"chunk"),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    prelude = struct.pack("!II", 12 + len(headers) + len(payload) + 4, len(headers))
    head = prelude + struct.pack("!I", binascii.crc32(prelude)) + headers + payload
    return head + struct.pack("!I", binascii.crc32(head))


def streamed(platform: Platform, events: Events) -> Reply:
    if platform.aws_frames:
        body = b"".join(map(frame, events))
        return Reply(200, body, {"content-type": "application/vnd.amazon.eventstream"})
    return Reply(200, sse(events), {"content-type": "text/event-stream"})


class PlatformApi:
    """Answers with one reply; remembers nothing but the last request's path."""

    def __init__(self) -> None:
        self.reply = json_reply(message(), request_id="req_1")

    def __call__(self, _asked: Asked) -> Reply:
        return self.reply


@pytest.fixture
def api() -> PlatformApi:
    return PlatformApi()


@pytest.fixture
def url(api: PlatformApi) -> Iterator[str]:
    with LocalApi(api) as server:
        yield server.url


@pytest.fixture(
    params=[each for each in PLATFORMS if hasattr(anthropic, each.name)], ids=lambda platform: platform.name
)
def platform(request: pytest.FixtureRequest) -> Platform:
    chosen: Platform = request.param
    return chosen


def make(platform: Platform, url: str, llm_audit: RecordedAudit, prefix: str = "") -> Any:
    kind: Callable[..., Any] = getattr(anthropic, prefix + platform.name)
    return kind(base_url=url, max_retries=0, **platform.arguments).with_middleware(llm_audit.audit)


def entry_of(llm_audit: RecordedAudit) -> Any:
    gc.collect()
    (entry,) = llm_audit.entries()
    assert llm_audit.logger.statistics().capture_errors == {}
    return entry


def assert_labelled(entry: Any, platform: Platform) -> None:
    assert (entry.status, entry.provider) == ("success", platform.provider)
    assert entry.requested_model == platform.model


def test_a_call(platform: Platform, url: str, llm_audit: RecordedAudit) -> None:
    with make(platform, url, llm_audit) as client:
        assert client.messages.create(model=platform.model, **CALL).content[0].text == "Hello"
    entry = entry_of(llm_audit)
    assert_labelled(entry, platform)
    assert (entry.action, entry.model, entry.input_tokens, entry.output_tokens) == (
        "messages.create",
        MODEL,
        12,
        5,
    )
    assert (entry.cost_usd is not None) == platform.priced


def test_a_call_async(platform: Platform, url: str, llm_audit: RecordedAudit) -> None:
    async def run() -> None:
        async with make(platform, url, llm_audit, "Async") as client:
            await client.messages.create(model=platform.model, **CALL)

    asyncio.run(run())
    assert_labelled(entry_of(llm_audit), platform)


def test_a_stream(platform: Platform, url: str, api: PlatformApi, llm_audit: RecordedAudit) -> None:
    api.reply = streamed(platform, text_stream(model=MODEL))
    with make(platform, url, llm_audit) as client:
        kinds = [event.type for event in client.messages.create(model=platform.model, stream=True, **CALL)]
    assert kinds[-1] == "message_stop"
    entry = entry_of(llm_audit)
    assert_labelled(entry, platform)
    assert (entry.streamed, entry.input_tokens, entry.output_tokens) == (True, 7, 9)
    assert entry.time_to_first_token_ms is not None


def test_a_stream_async(platform: Platform, url: str, api: PlatformApi, llm_audit: RecordedAudit) -> None:
    api.reply = streamed(platform, text_stream(model=MODEL))

    async def run() -> None:
        async with make(platform, url, llm_audit, "Async") as client:
            async for _event in await client.messages.create(model=platform.model, stream=True, **CALL):
                pass

    asyncio.run(run())
    assert_labelled(entry_of(llm_audit), platform)


def test_a_cut_stream_is_aborted(
    platform: Platform, url: str, api: PlatformApi, llm_audit: RecordedAudit
) -> None:
    api.reply = streamed(platform, text_stream(model=MODEL)[:5])
    with make(platform, url, llm_audit) as client:
        for _event in client.messages.create(model=platform.model, stream=True, **CALL):
            pass
    entry = entry_of(llm_audit)
    assert (entry.status, entry.error_type, entry.output_tokens) == ("aborted", "truncated_stream", 1)


def test_beta(platform: Platform, url: str, llm_audit: RecordedAudit) -> None:
    with make(platform, url, llm_audit) as client:
        client.beta.messages.create(model=platform.model, **CALL)
    entry = entry_of(llm_audit)
    assert_labelled(entry, platform)
    assert entry.action == "beta.messages.create"


def test_an_answer_that_names_no_model(
    platform: Platform, url: str, api: PlatformApi, llm_audit: RecordedAudit
) -> None:
    body = message()
    del body["model"]
    api.reply = json_reply(body)
    with make(platform, url, llm_audit) as client:
        client.messages.create(model=platform.model, **CALL)
    entry = entry_of(llm_audit)
    assert_labelled(entry, platform)
    assert entry.model == platform.model


@pytest.mark.parametrize("damaged", [False, True], ids=["cut", "damaged"])
def test_bedrock_frames_cut_or_damaged_anywhere(
    url: str, api: PlatformApi, llm_audit: RecordedAudit, damaged: bool
) -> None:
    """The caller sees what the SDK alone gives, and the entry is never a success that was none."""
    platform = PLATFORMS[0]
    whole = streamed(platform, text_stream(model=MODEL))
    plain = anthropic.AnthropicBedrock(base_url=url, max_retries=0, **platform.arguments)
    audited = plain.with_middleware(llm_audit.audit)

    def use(client: Any, emit: Emit) -> None:
        for event in client.messages.create(model=platform.model, stream=True, **CALL):
            emit(event)

    places = range(0, len(whole.body), 97)
    for place in places:
        body = whole.body[:place] + (b"\xff" + whole.body[place + 1 :] if damaged else b"")
        api.reply = Reply(200, body, whole.headers)
        with_us = see(partial(use, audited))
        assert with_us == see(partial(use, plain))
        entry = llm_audit.entries()[-1]
        if with_us.error is None:
            assert (entry.status, entry.error_type) == ("aborted", "truncated_stream")
        else:
            assert (entry.status, entry.error_type) == ("error", "malformed_event")
    assert len(llm_audit.entries()) == len(places)
    assert llm_audit.logger.statistics().capture_errors == {}
    plain.close()


def test_a_service_s_own_client_class_is_no_platform(url: str, llm_audit: RecordedAudit) -> None:
    class OurAWSHostedClient(anthropic.Anthropic):
        """Named like a platform, but Anthropic's own."""

    with OurAWSHostedClient(base_url=url, api_key="k").with_middleware(llm_audit.audit) as client:
        client.messages.create(model=MODEL, **CALL)
    assert entry_of(llm_audit).provider == "anthropic"


def test_vertex_is_priced_where_its_endpoint_is_the_global_one(url: str, llm_audit: RecordedAudit) -> None:
    vertex = PLATFORMS[2]
    client = anthropic.AnthropicVertex(base_url=url, **{**vertex.arguments, "region": "global"})
    client.with_middleware(llm_audit.audit).messages.create(model=vertex.model, **CALL)
    client.close()
    assert entry_of(llm_audit).cost_usd is not None
