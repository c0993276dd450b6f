"""The SDK retries by itself: one logical call is one entry, however many attempts it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer.pytest_plugin import RecordedAudit
from tests.api.server import Reply
from tests.producer.conftest import CALL, KEY, ScriptedApi, answer, failing, only

CUT = Reply(hang_up=True)
Script = list[Reply]


@pytest.mark.parametrize(
    ("script", "statuses"),
    [
        ([failing(429), answer()], ["429"]),
        ([failing(500), failing(529), answer()], ["500", "529"]),
        ([CUT, answer()], ["APIConnectionError"]),
        ([failing(400, x_should_retry="true"), answer()], ["400"]),
        ([failing(408), failing(409), answer()], ["408", "409"]),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_call_that_succeeds_at_last_is_one_success(
    asynchronous: bool,
    script: Script,
    statuses: list[str],
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(*script)
    if asynchronous:

        async def run() -> None:
            async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[llm_audit.audit]) as other:
                await other.messages.create(**CALL)

        asyncio.run(run())
    else:
        client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.status, entry.http_status, entry.attempts) == ("success", 200, len(script))
    assert (entry.details or {}).get("attempt_statuses") == statuses
    assert (entry.error_type, entry.output_tokens) == (None, 5)
    llm_audit.logger.close()
    assert llm_audit.sink.entries == (entry,)  # no attempt was left behind that the end would record


@pytest.mark.parametrize(
    ("reply", "statuses", "error_type"),
    [
        (failing(500), ["500"] * 3, "api_error"),
        (CUT, ["APIConnectionError"] * 3, "APIConnectionError"),
    ],
)
def test_a_call_whose_retries_are_exhausted_is_one_error(
    reply: Reply,
    statuses: list[str],
    error_type: str,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(reply)
    with pytest.raises(anthropic.APIError):
        client.messages.create(**CALL)
    assert len(api.asked) == 3
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.attempts) == ("error", error_type, 3)
    assert (entry.details or {})["attempt_statuses"] == statuses


@pytest.mark.parametrize(
    ("use", "attempts"),
    [
        (lambda client: client.with_options(max_retries=0).messages.create(**CALL), 1),
        (lambda client: client.with_options(max_retries=4).messages.create(**CALL), 5),
        (
            lambda client: client.post("/v1/messages", body=CALL, cast_to=object, options={"max_retries": 1}),
            2,
        ),
        (lambda client: client.copy(max_retries=1).messages.with_raw_response.create(**CALL), 2),
        (lambda client: client.messages.create(**CALL, stream=True), 3),
    ],
)
def test_max_retries_wherever_it_was_said(
    use: Callable[[Anthropic], Any],
    attempts: int,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(failing(503))
    with pytest.raises(anthropic.APIStatusError):
        use(client)
    entry = only(llm_audit)
    assert (len(api.asked), entry.attempts) == (attempts, attempts)


@pytest.mark.parametrize(
    ("status", "told", "attempts"), [(500, "false", 1), (400, "true", 3), (404, None, 1)]
)
def test_the_servers_own_word_on_retrying_holds(
    status: int,
    told: str | None,
    attempts: int,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(failing(status, **({} if told is None else {"x_should_retry": told})))
    with pytest.raises(anthropic.APIStatusError):
        client.messages.create(**CALL)
    assert len(api.asked) == attempts
    assert only(llm_audit).attempts == attempts


def test_a_key_of_the_callers_own_ties_the_attempts_too(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(failing(429), answer())
    client.messages.create(**CALL, extra_headers={"Idempotency-Key": "mine"})
    assert only(llm_audit).attempts == 2


def test_the_middleware_within_one_that_retries_by_itself(
    plain: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    def stubborn(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        return call_next(request) if response.status_code == 429 else response

    api.replies(failing(429), answer())
    plain.with_options(middleware=[stubborn, llm_audit.audit]).messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.status, entry.attempts) == ("success", 2)


def test_many_calls_at_once_keep_their_attempts_apart(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(failing(429), answer(), failing(500), failing(503), answer(), failing(429), answer())

    async def run() -> None:
        async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[llm_audit.audit]) as other:
            await asyncio.gather(*(other.messages.create(**CALL) for _ in range(12)))

    asyncio.run(run())
    entries = llm_audit.entries()
    assert [entry.status for entry in entries] == ["success"] * 12
    assert sum(entry.attempts for entry in entries) == len(api.asked) == 16
    assert len({entry.request_id for entry in entries}) == 12
