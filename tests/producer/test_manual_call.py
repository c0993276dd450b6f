"""``audit.call(...)``: a block around a call of any SDK becomes one true entry."""

from __future__ import annotations

import asyncio
from itertools import chain, repeat

import pytest

from llm_audit_producer import AuditLogger, MemorySink, UserRequiredError
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry, HashKey, content_hash

KEY = HashKey.parse("pytest:" + "YSBmaXhlZCBrZXksIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNl")


def only(llm_audit: RecordedAudit) -> AuditEntry:
    (entry,) = llm_audit.entries()
    return entry


def test_an_answered_call(llm_audit: RecordedAudit) -> None:
    with llm_audit.audit.call(
        user_id="u-1", provider="openai", model="gpt-5", action="chat.completions", input_text="ask"
    ) as call:
        call.answered(
            output_text="answer", input_tokens=3, output_tokens=4, model="gpt-5-2025", stop_reason="stop"
        )
    entry = only(llm_audit)
    assert (entry.status, entry.request_id, entry.user_id) == ("success", call.request_id, "u-1")
    assert (entry.provider, entry.action, entry.stop_reason) == ("openai", "chat.completions", "stop")
    assert (entry.requested_model, entry.model) == ("gpt-5", "gpt-5-2025")
    assert (entry.input_tokens, entry.output_tokens) == (3, 4)
    assert entry.input_hash == content_hash(KEY, "input", "ask")
    assert entry.output_hash == content_hash(KEY, "output", "answer")
    assert entry.latency_ms is not None
    assert entry.details is None or "invalid" not in entry.details


def test_nothing_reported(llm_audit: RecordedAudit) -> None:
    with llm_audit.logger.call(provider="openai", model="gpt-5"):
        pass
    entry = only(llm_audit)
    assert (entry.status, entry.model, entry.input_tokens, entry.output_tokens) == (
        "success",
        "gpt-5",
        None,
        None,
    )
    assert entry.cost_usd is None


class RateLimitError(Exception):
    status_code = 429


def test_an_exception_is_an_error_and_goes_on(llm_audit: RecordedAudit) -> None:
    error = RateLimitError("slow down")
    with pytest.raises(RateLimitError) as raised, llm_audit.logger.call(model="gpt-5", provider="openai"):
        raise error
    assert raised.value is error
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.error_message) == ("error", "RateLimitError", "slow down")
    assert entry.http_status == 429


def test_an_exception_after_the_answer_is_not_the_calls(llm_audit: RecordedAudit) -> None:
    def serve() -> None:
        with llm_audit.logger.call(model="gpt-5") as call:
            call.answered(output_tokens=4)
            raise KeyError("the service's own fault")

    with pytest.raises(KeyError):
        serve()
    entry = only(llm_audit)
    assert (entry.status, entry.output_tokens, entry.error_type) == ("success", 4, None)


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_leaving_is_aborted(llm_audit: RecordedAudit, leaving: type[BaseException]) -> None:
    with pytest.raises(leaving), llm_audit.logger.call(model="gpt-5"):
        raise leaving
    assert (only(llm_audit).status, only(llm_audit).error_type) == ("aborted", leaving.__name__)


def test_cancellation_is_aborted(llm_audit: RecordedAudit) -> None:
    async def run() -> None:
        started = asyncio.Event()

        async def ask() -> None:
            with llm_audit.logger.call(model="gpt-5"):
                started.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(ask())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (only(llm_audit).status, only(llm_audit).error_type) == ("aborted", "CancelledError")


def test_the_asker_is_the_one_at_the_start(llm_audit: RecordedAudit) -> None:
    with llm_audit.logger.context(user_id="u-2", run_id="r-1", metadata={"a": 1}):
        call = llm_audit.logger.call(tenant="t-1", model="gpt-5", metadata={"b": 2})
        call.__enter__()
    call.__exit__(None, None, None)
    entry = only(llm_audit)
    assert (entry.user_id, entry.tenant, entry.run_id) == ("u-2", "t-1", "r-1")
    assert entry.metadata == {"a": 1, "b": 2}


def test_latency_ends_with_the_answer(llm_audit: RecordedAudit, monkeypatch: pytest.MonkeyPatch) -> None:
    times = chain([10.0, 10.25], repeat(99.0))  # the clock is everybody's
    monkeypatch.setattr("llm_audit_producer.manual_call.time.perf_counter", lambda: next(times))
    with llm_audit.logger.call(model="gpt-5") as call:
        call.answered()
    monkeypatch.undo()
    assert only(llm_audit).latency_ms == 250


def test_a_required_user_is_missed_before_the_call() -> None:
    logger = AuditLogger(MemorySink(), enabled=True, require_user=True)
    reached = False
    with pytest.raises(UserRequiredError), logger.call(model="gpt-5"):
        reached = True
    assert not reached
    logger.close()


def test_unusable_reports_raise_nothing(llm_audit: RecordedAudit) -> None:
    with llm_audit.logger.call(model="gpt-5", nonsense=1) as call:
        call.answered(input_tokens="many", usage=object())
    entry = only(llm_audit)
    assert entry.details is not None
    invalid = entry.details["invalid"]
    assert isinstance(invalid, list)
    assert invalid == ["input_tokens", "nonsense", "usage"]


def test_switched_off_it_only_lets_through() -> None:
    sink = MemorySink()
    logger = AuditLogger(sink, enabled=False)
    with logger.call(model="gpt-5") as call:
        call.answered(output_tokens=1)
    logger.close()
    assert sink.entries == ()
