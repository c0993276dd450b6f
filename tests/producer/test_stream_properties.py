"""Damaged streams, however damaged: the caller sees what the SDK alone gives, and one entry tells what came.

What came is told by a second, naive reading of the bytes below, written from the format's rules and not from the code
under test: the events of a body are all those whose blank line arrived.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import os
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry
from tests.producer.outcomes import Emit, Seen, see, see_async
from tests.producer.streams import delta, error_event, text_stream

HTTP: Any = importlib.import_module("httpx2" if int(anthropic.__version__.split(".")[0]) >= 2 else "httpx")
"""The HTTP library that the SDK stands on."""

CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}
LINE_ENDS = ("\n", "\r\n", "\r")
bounded = settings(
    max_examples=int(os.environ.get("LLM_AUDIT_TEST_EXAMPLES", "300")),
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # a failure says enough unshrunk, and shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

EVENTS = [*text_stream("Héllo 🌍"), delta({"type": "text_delta", "text": "\u2028 odd"}), error_event()]


@st.composite
def event_lists(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A whole stream with events dropped, doubled, moved or put in."""
    events = text_stream("Héllo 🌍")
    for _ in range(draw(st.integers(0, 3))):
        change = draw(st.sampled_from(["drop", "double", "move", "insert"]))
        place = draw(st.integers(0, max(len(events) - 1, 0)))
        if change == "insert":
            events.insert(place, draw(st.sampled_from(EVENTS)))
        elif events and change == "drop":
            del events[place]
        elif events and change == "double":
            events.insert(place, events[place])
        elif events:
            events.append(events.pop(place))
    return events


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Events as bytes, with odd line ends, comments, malformed JSON, and cut anywhere."""
    end = draw(st.sampled_from(LINE_ENDS))
    space = draw(st.sampled_from(["", " "]))
    text = ""
    for event in draw(event_lists()):
        data = json.dumps(event, ensure_ascii=draw(st.booleans()))
        damage = draw(st.sampled_from([None] * 12 + ["cut", "text", "number", "comment"]))
        if damage == "comment":
            text += f": a comment{end}"
        data = {"cut": data[:-3], "text": "not json", "number": "7"}.get(damage or "", data)
        text += f"event:{space}{event['type']}{end}data:{space}{data}{end}{end}"
    body = text.encode()
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    return body


@st.composite
def chunkings(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
    return [body[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True)]


class Chunks(HTTP.SyncByteStream, HTTP.AsyncByteStream):  # type: ignore[misc]  # which library is known at run time
    """A body in chunks, perhaps ending in the connection's failure."""

    def __init__(self, chunks: list[bytes], *, breaks: bool) -> None:
        self._chunks, self._breaks = chunks, breaks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks
        if self._breaks:
            raise HTTP.RemoteProtocolError("peer closed connection")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class Trial:
    """Gives one body after the other to a client with the middleware and to one without."""

    def __init__(self, llm_audit: RecordedAudit) -> None:
        self._llm_audit = llm_audit
        self._body = Chunks([], breaks=False)
        self._headers: dict[str, str] = {}
        self._entries = 0
        self._runner = asyncio.Runner()
        transport = HTTP.MockTransport(self._respond)
        self._sync = Anthropic(api_key="k", max_retries=0, http_client=HTTP.Client(transport=transport))
        self._async = AsyncAnthropic(
            api_key="k", max_retries=0, http_client=HTTP.AsyncClient(transport=transport)
        )

    def give(self, chunks: list[bytes], *, breaks: bool = False, encoding: str = "identity") -> None:
        self._body = Chunks(chunks, breaks=breaks)
        self._headers = {"content-type": "text/event-stream", "content-encoding": encoding}

    def run(self, use: Callable[[Anthropic, Emit], None]) -> tuple[Seen, AuditEntry]:
        audited = self._sync.with_middleware(self._llm_audit.audit)
        with_us = see(lambda emit: use(audited, emit))
        assert with_us == see(lambda emit: use(self._sync, emit))
        return with_us, self._entry()

    def run_async(self, use: Callable[[AsyncAnthropic, Emit], Any]) -> tuple[Seen, AuditEntry]:
        audited = self._async.with_middleware(self._llm_audit.audit)
        with_us = self._runner.run(see_async(lambda emit: use(audited, emit)))
        assert with_us == self._runner.run(see_async(lambda emit: use(self._async, emit)))
        return with_us, self._entry()

    def close(self) -> None:
        self._sync.close()
        self._runner.run(self._async.close())
        self._runner.close()

    def _respond(self, request: Any) -> Any:
        return HTTP.Response(200, headers=self._headers, stream=self._body, request=request)

    def _entry(self) -> AuditEntry:
        """The one entry that the body made."""
        entries = self._llm_audit.entries()
        (entry,) = entries[self._entries :]
        self._entries = len(entries)
        assert self._llm_audit.logger.statistics().capture_errors == {}
        return entry


@pytest.fixture
def trial(llm_audit: RecordedAudit) -> Iterator[Trial]:
    made = Trial(llm_audit)
    yield made
    made.close()


def take_events(client: Anthropic, emit: Emit) -> None:
    for event in client.messages.create(**CALL, stream=True):
        emit(event)


def take_helper_events(client: Anthropic, emit: Emit) -> None:
    with client.messages.stream(**CALL) as stream:
        for event in stream:
            emit(event)


async def take_events_async(client: AsyncAnthropic, emit: Emit) -> None:
    async for event in await client.messages.create(**CALL, stream=True):
        emit(event)


def events_in(body: bytes) -> list[dict[str, Any]]:
    """Every event of which the blank line after it arrived and whose data is a JSON object."""
    text = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    found = []
    for block in text.split("\n\n")[:-1]:
        data = "\n".join(line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:"))
        try:
            event = json.loads(data)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return found


def told_by(events: list[dict[str, Any]]) -> tuple[object, ...]:
    """Response id, input and output tokens as far as these events tell them."""
    response_id = input_tokens = output_tokens = None
    for event in events:
        if event["type"] == "message_start":
            response_id = event["message"]["id"]
            input_tokens = event["message"]["usage"]["input_tokens"]
            output_tokens = event["message"]["usage"]["output_tokens"]
        elif event["type"] == "message_delta":
            output_tokens = event["usage"]["output_tokens"]
    return response_id, input_tokens, output_tokens


def kinds_in(seen: Seen) -> list[str]:
    found = []
    for value in seen.values:
        assert isinstance(value, tuple)
        if isinstance(value[1], dict):
            found.append(str(value[1].get("type")))
    return found


def assert_true(
    entry: AuditEntry, seen: Seen, body: bytes, *, breaks: bool = False, helper: bool = False
) -> None:
    """The entry says what the events say that the caller was given, or those that arrived beside them."""
    events = events_in(body)
    delivered = kinds_in(seen)
    assert (entry.streamed, entry.http_status) == (True, 200)
    whole = "message_stop" in delivered and seen.error is None
    assert entry.status == ("success" if whole else entry.status)
    if entry.status == "success":
        assert whole or (helper and "message_stop" in delivered)
    if seen.error is None:
        expected = "success" if whole else "aborted"
        assert (entry.status, entry.error_type) == (expected, None if whole else "truncated_stream")
    elif not breaks and not helper:  # the helper raises at events out of order; to us, the caller left there
        assert entry.status == "error" or "UnicodeDecodeError" in str(seen.error["type"])
        assert entry.error_type not in {None, "closed_early"}
    told = (entry.response_id, entry.input_tokens, entry.output_tokens)
    least = len(events) if seen.error is None else 0
    assert told in {told_by(events[:count]) for count in range(least, len(events) + 1)}
    if entry.output_tokens is None:
        assert entry.cost_usd is None


@bounded
@given(data=st.data(), body=bodies(), breaks=st.booleans(), helper=st.booleans())
def test_a_damaged_stream(trial: Trial, data: st.DataObject, body: bytes, breaks: bool, helper: bool) -> None:
    trial.give(data.draw(chunkings(body)), breaks=breaks)
    seen, entry = trial.run(take_helper_events if helper else take_events)
    assert_true(entry, seen, body, breaks=breaks, helper=helper)


@bounded
@given(data=st.data(), body=bodies(), breaks=st.booleans())
def test_a_damaged_stream_async(trial: Trial, data: st.DataObject, body: bytes, breaks: bool) -> None:
    trial.give(data.draw(chunkings(body)), breaks=breaks)
    seen, entry = trial.run_async(take_events_async)
    assert_true(entry, seen, body, breaks=breaks)


@bounded
@given(data=st.data(), body=bodies())
def test_a_compressed_stream_cut_anywhere(trial: Trial, data: st.DataObject, body: bytes) -> None:
    packed = gzip.compress(body, mtime=0)
    packed = packed[: data.draw(st.integers(0, len(packed)))]
    trial.give(data.draw(chunkings(packed)), encoding="gzip")
    seen, entry = trial.run(take_events)
    assert_true(entry, seen, zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed))
