"""Drives the real SDK against a local server that answers with recordings."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import anthropic
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer import Audit
from llm_audit_producer.demo.local_api import Asked, LocalApi, Reply, json_reply
from tests.replay.recordings import Recording

ClientKind = Literal["sync", "async"]
Progress = Callable[[], None]

_RECORDING_HEADER = "x-recording-id"
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Sent:
    """A recording whose request was sent, and how the SDK's call ended."""

    recording: Recording
    error: BaseException | None


def replay(
    recordings: Sequence[Recording], audit: Audit, kind: ClientKind, progress: Progress = lambda: None
) -> list[Sent]:
    """Send every recording's request through the SDK; the server answers each with its recorded response."""
    by_id = {recording.id: recording for recording in recordings}

    def answer(asked: Asked) -> Reply:
        recording = by_id.get(asked.headers.get(_RECORDING_HEADER, ""))
        if recording is None:
            return json_reply(
                {"type": "error", "error": {"type": "replay", "message": "no such recording"}}, 418
            )
        return Reply(recording.status, recording.response_body.encode(), recording.response_headers)

    with LocalApi(answer) as api:
        if kind == "async":
            return asyncio.run(_replay_async(recordings, audit, api.url, progress))
        client = Anthropic(base_url=api.url, api_key="replay", max_retries=0).with_middleware(audit)
        return [_one(client, audit, recording, progress) for recording in recordings]


def _one(client: Anthropic, audit: Audit, recording: Recording, progress: Progress) -> Sent:
    error: BaseException | None = None
    with audit.context(user_id="replay", metadata={"recording": recording.id}):
        messages = client.beta.messages if recording.is_beta else client.messages
        try:
            answer = messages.create(**arguments_of(messages.create, recording))
            if recording.is_stream:
                for _event in answer:
                    pass
        except anthropic.AnthropicError as raised:
            error = raised
    progress()
    return Sent(recording, error)


async def _replay_async(
    recordings: Sequence[Recording], audit: Audit, url: str, progress: Progress
) -> list[Sent]:
    async with AsyncAnthropic(base_url=url, api_key="replay", max_retries=0).with_middleware(audit) as client:
        return [await _one_async(client, audit, recording, progress) for recording in recordings]


async def _one_async(client: AsyncAnthropic, audit: Audit, recording: Recording, progress: Progress) -> Sent:
    error: BaseException | None = None
    with audit.context(user_id="replay", metadata={"recording": recording.id}):
        messages = client.beta.messages if recording.is_beta else client.messages
        try:
            answer = await messages.create(**arguments_of(messages.create, recording))
            if recording.is_stream:
                async for _event in answer:
                    pass
        except anthropic.AnthropicError as raised:
            error = raised
    progress()
    return Sent(recording, error)


def arguments_of(create: Callable[..., object], recording: Recording) -> dict[str, Any]:
    """The recorded body as arguments of the SDK's method; what it does not know goes into ``extra_body``."""
    known = set(inspect.signature(create).parameters)
    body: Mapping[str, Any] = json.loads(recording.request_body)
    arguments: dict[str, Any] = {name: value for name, value in body.items() if name in known}
    extra = {name: value for name, value in body.items() if name not in known}
    headers = {_RECORDING_HEADER: recording.id}
    if beta := recording.request_headers.get("anthropic-beta"):
        headers["anthropic-beta"] = beta
    # An explicit timeout, because the SDK refuses long non-streaming requests without one.
    return {**arguments, "extra_body": extra or None, "extra_headers": headers, "timeout": _TIMEOUT_SECONDS}
