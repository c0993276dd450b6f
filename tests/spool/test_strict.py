"""What a caller gets from a strict producer, and what it pays while the destination hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer import (
    Audit,
    AuditBlocked,
    AuditLogger,
    AuditUnavailable,
    Block,
    MemorySink,
    Sanitized,
)
from llm_audit_producer.sinks import AuditSink
from tests.api.server import Reply
from tests.producer.conftest import CALL, KEY, ScriptedApi, answer, api, failing
from tests.producer.streams import sse, text_stream
from tests.spool.parts import HangingSink

__all__ = ["api"]  # a fixture

HASTE = 0.3
PLENTY = 20.0


@pytest.fixture
def hanging() -> Iterator[HangingSink]:
    sink = HangingSink()
    yield sink
    sink.let_go.set()


def stream_reply() -> Reply:
    return Reply(200, sse(text_stream()), {"content-type": "text/event-stream", "request-id": "req_s"})


def strict(sink: AuditSink, **settings: Any) -> Audit:
    return Audit(AuditLogger(sink, **{"durability": "strict", "strict_seconds": HASTE, **settings}))


def client_of(api: ScriptedApi, audit: Audit) -> Anthropic:
    return Anthropic(base_url=api.url, api_key=KEY, max_retries=0).with_middleware(audit)


def test_no_result_without_an_entry(api: ScriptedApi, hanging: HangingSink) -> None:
    audit = strict(hanging)
    with pytest.raises(AuditUnavailable, match="delivery is strict") as raised:
        client_of(api, audit).messages.create(**CALL)
    assert raised.value.request_id == audit.logger.last_request_id
    assert len(api.asked) == 1  # it was made: the SDK did not try again
    hanging.let_go.set()
    assert audit.flush(10) == 0
    assert hanging.entries[0].request_id == raised.value.request_id  # late, and true


def test_a_result_comes_as_soon_as_its_entry_is_delivered(api: ScriptedApi) -> None:
    sink = MemorySink()
    message = client_of(api, strict(sink)).messages.create(**CALL)
    assert message.content
    assert len(sink.entries) == 1  # without a flush


def test_spooled_is_safe_enough_where_a_spool_is_set(
    api: ScriptedApi, hanging: HangingSink, tmp_path: Path
) -> None:
    audit = strict(hanging, spool_directory=tmp_path)
    assert client_of(api, audit).messages.create(**CALL).content
    spool = audit.logger.statistics().spool
    assert spool is not None
    assert spool.entries == 1


def test_a_full_spool_gives_no_result(api: ScriptedApi, hanging: HangingSink, tmp_path: Path) -> None:
    audit = strict(hanging, spool_directory=tmp_path, spool_bytes=1)
    client = client_of(api, audit)
    client.messages.create(**CALL)  # into an empty spool
    with pytest.raises(AuditUnavailable):
        client.messages.create(**CALL)
    assert audit.logger.statistics().lost == {"spool_full": 1}


def test_a_stream_keeps_its_last_event_until_the_entry_is_safe(
    api: ScriptedApi, hanging: HangingSink
) -> None:
    api.replies(stream_reply())
    seen: list[str] = []
    with (
        pytest.raises(AuditUnavailable),
        client_of(api, strict(hanging)).messages.create(**CALL, stream=True) as events,
    ):
        seen.extend(event.type for event in events)
    assert "message_delta" in seen
    assert "message_stop" not in seen


@pytest.mark.parametrize("mode", ["spool", "strict"])
def test_whoever_has_a_streams_last_event_has_its_entry_spooled(
    api: ScriptedApi, hanging: HangingSink, tmp_path: Path, mode: str
) -> None:
    api.replies(stream_reply())
    audit = strict(hanging, durability=mode, spool_directory=tmp_path)
    for event in client_of(api, audit).messages.create(**CALL, stream=True):
        spool = audit.logger.statistics().spool
        assert spool is not None
        assert spool.entries == (1 if event.type == "message_stop" else 0)
    hanging.let_go.set()
    assert audit.flush(10) == 0
    assert [entry.status for entry in hanging.entries] == ["success"]


def test_the_stream_helper_too(api: ScriptedApi, hanging: HangingSink) -> None:
    api.replies(stream_reply())
    with (
        pytest.raises(AuditUnavailable),
        client_of(api, strict(hanging)).messages.stream(**CALL) as stream,
    ):
        stream.get_final_message()


def test_an_error_of_the_api_stays_the_callers_error(api: ScriptedApi, hanging: HangingSink) -> None:
    api.replies(failing(400))
    started = time.monotonic()
    with pytest.raises(anthropic.BadRequestError):
        client_of(api, strict(hanging, strict_seconds=PLENTY)).messages.create(**CALL)
    assert time.monotonic() - started < PLENTY / 2


def test_a_call_that_was_blocked_says_why(api: ScriptedApi, hanging: HangingSink) -> None:
    def refuse(body: Mapping[str, Any]) -> Sanitized:
        raise Block("no")

    audit = Audit(AuditLogger(hanging, durability="strict", strict_seconds=HASTE), sanitizer=refuse)
    with pytest.raises(AuditBlocked):
        client_of(api, audit).messages.create(**CALL)


def test_log_request_and_the_call_block_raise_too(hanging: HangingSink) -> None:
    logger = AuditLogger(hanging, durability="strict", strict_seconds=HASTE)
    with pytest.raises(AuditUnavailable):
        logger.log_request("u", "m")
    with pytest.raises(AuditUnavailable), logger.call("u", model="m"):
        pass
    with pytest.raises(ZeroDivisionError), logger.call("u", model="m"):
        raise ZeroDivisionError


def test_waiting_for_an_entry_does_not_stop_the_event_loop(api: ScriptedApi, hanging: HangingSink) -> None:
    async def main() -> int:
        audit = strict(hanging, strict_seconds=1.0)
        client = AsyncAnthropic(base_url=api.url, api_key=KEY, max_retries=0).with_middleware(audit)
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        turning = asyncio.create_task(turn())
        with pytest.raises(AuditUnavailable):
            await client.messages.create(**CALL)
        api.replies(stream_reply())
        before = turns
        with pytest.raises(AuditUnavailable):
            async for _ in await client.messages.create(**CALL, stream=True):
                pass
        during = turns - before
        turning.cancel()
        await client.close()
        return during

    # A second of waiting: a loop that stood still would have turned a handful of times before it and no more.
    assert asyncio.run(main()) > 30


@pytest.mark.parametrize("mode", ["memory", "spool"])
def test_a_destination_that_hangs_costs_a_caller_nothing(
    api: ScriptedApi, hanging: HangingSink, tmp_path: Path, mode: str
) -> None:
    """It would hang for a minute; fifty calls are done long before."""
    api.replies(answer())
    audit = strict(hanging, durability=mode, spool_directory=tmp_path)
    client = client_of(api, audit)
    started = time.monotonic()
    for _ in range(50):
        client.messages.create(**CALL)
    assert time.monotonic() - started < PLENTY
    assert hanging.entries == ()


def test_closing_a_strict_or_spooling_producer_keeps_the_book(hanging: HangingSink, tmp_path: Path) -> None:
    logger = AuditLogger(hanging, durability="spool", spool_directory=tmp_path)
    for _ in range(20):
        logger.log_request("u", "m")
    assert logger.close(0.2) == 0
    statistics = logger.statistics()
    assert (statistics.captured, statistics.delivered, statistics.left_in_spool) == (20, 0, 20)
    assert statistics.lost == {}
    logger.log_request("u", "m")
    assert logger.statistics().lost == {"closed": 1}
