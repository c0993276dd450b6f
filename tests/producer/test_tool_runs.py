"""The SDK's tool runner: one entry for each model call, and those of one run share a run_id."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool, beta_tool

from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry
from tests.api.server import Asked, Reply, json_reply, message
from tests.producer.conftest import KEY, ScriptedApi
from tests.producer.streams import delta, sse, text_stream

CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "How is the weather?"}],
}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Oslo"}}


@beta_tool
def weather(place: str) -> str:
    """Say the weather.

    Args:
        place: Where.
    """
    return f"Rain in {place}"


@beta_async_tool
async def weather_async(place: str) -> str:
    """Say the weather.

    Args:
        place: Where.
    """
    await asyncio.sleep(0)
    return f"Rain in {place}"


def reply(asked: Asked) -> Reply:
    """Asks for the tool until its result is there."""
    body = asked.json()
    has_result = "tool_result" in json.dumps(body["messages"])
    if not body.get("stream"):
        if has_result:
            return json_reply(message("Rain"))
        name = body["tools"][0]["name"]
        return json_reply(message(content=[{**TOOL_USE, "name": name}], stop_reason="tool_use"))
    events = text_stream("Rain")
    if not has_result:
        events[1:6] = [
            {"type": "content_block_start", "index": 0, "content_block": {**TOOL_USE, "input": {}}},
            delta({"type": "input_json_delta", "partial_json": '{"place": "Oslo"}'}),
            {"type": "content_block_stop", "index": 0},
        ]
        events[-2]["delta"]["stop_reason"] = "tool_use"
    return Reply(200, sse(events), {"content-type": "text/event-stream"})


@pytest.fixture(autouse=True)
def _answers(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedApi, "__call__", lambda _self, asked: reply(asked))


def runs_of(entries: tuple[AuditEntry, ...]) -> dict[str | None, list[str | None]]:
    """Run to the stop reasons of its calls."""
    found: dict[str | None, list[str | None]] = {}
    for entry in entries:
        assert entry.status == "success"
        found.setdefault(entry.run_id, []).append(entry.stop_reason)
    return found


ONE_RUN = ["tool_use", "end_turn"]


@pytest.mark.parametrize("stream", [False, True])
def test_each_run_has_its_id(client: Anthropic, llm_audit: RecordedAudit, stream: bool) -> None:
    runners = [client.beta.messages.tool_runner(**CALL, tools=[weather], stream=stream) for _ in range(2)]
    for _turns in zip(*runners, strict=True):  # the two runs take turns, with the same words
        for turn in _turns:
            if stream:
                turn.until_done()
    runs = runs_of(llm_audit.entries())
    assert None not in runs
    assert list(runs.values()) == [ONE_RUN, ONE_RUN]


def test_async_runs(api: ScriptedApi, llm_audit: RecordedAudit) -> None:
    async def run() -> None:
        plain = AsyncAnthropic(base_url=api.url, api_key=KEY)
        async with plain.with_middleware(llm_audit.audit) as client:
            runners = [client.beta.messages.tool_runner(**CALL, tools=[weather_async]) for _ in range(3)]
            await asyncio.gather(*(runner.until_done() for runner in runners))

    asyncio.run(run())
    runs = runs_of(llm_audit.entries())
    assert None not in runs
    assert list(runs.values()) == [ONE_RUN] * 3


def test_a_run_that_the_service_names(client: Anthropic, llm_audit: RecordedAudit) -> None:
    with llm_audit.logger.context(run_id="run-7"):
        client.beta.messages.tool_runner(**CALL, tools=[weather]).until_done()
    assert runs_of(llm_audit.entries()) == {"run-7": ONE_RUN}


def test_a_call_that_a_tool_makes_is_not_of_the_run(client: Anthropic, llm_audit: RecordedAudit) -> None:
    @beta_tool
    def ask_again(place: str) -> str:
        """Ask the model itself."""
        client.messages.create(**CALL, tools=[{"name": "none", "input_schema": {"type": "object"}}])
        return place

    client.beta.messages.tool_runner(**CALL, tools=[ask_again]).until_done()
    runs = runs_of(llm_audit.entries())
    assert len(runs.pop(None)) == 1
    assert list(runs.values()) == [ONE_RUN]


def test_a_runner_within_a_tool_is_another_run(client: Anthropic, llm_audit: RecordedAudit) -> None:
    @beta_tool
    def delegate(place: str) -> str:
        """Run a runner."""
        client.beta.messages.tool_runner(**CALL, tools=[weather]).until_done()
        return place

    client.beta.messages.tool_runner(**CALL, tools=[delegate]).until_done()
    runs = runs_of(llm_audit.entries())
    assert None not in runs
    assert sorted(runs.values()) == [["tool_use", "end_turn"]] * 2
