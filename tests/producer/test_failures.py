"""Calls that fail: the caller gets what the SDK raises without us, and the entry says what happened."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer.pytest_plugin import RecordedAudit
from tests.api.server import Reply
from tests.producer.conftest import CALL, KEY, ScriptedApi, answer, failing, only

STREAMED: dict[str, Any] = {**CALL, "stream": True}


def raised_by(use: Callable[[], object]) -> Exception:
    with pytest.raises(anthropic.AnthropicError) as caught:
        use()
    return caught.value


def facts_of(error: Exception) -> tuple[object, ...]:
    response = getattr(error, "response", None)
    return (
        type(error),
        str(error),
        type(error.__cause__),
        getattr(error, "body", None),
        getattr(error, "request_id", None),
        None if response is None else (response.status_code, response.text),
    )


@pytest.mark.parametrize("call", [CALL, STREAMED])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_an_error_response_raises_the_sdks_own_error(
    status: int,
    kind: str,
    call: dict[str, Any],
    plain: Anthropic,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(failing(status, kind, "the provider's words"))
    without = raised_by(lambda: plain.with_options(max_retries=0).messages.create(**call))
    with_it = raised_by(lambda: client.with_options(max_retries=0).messages.create(**call))
    assert facts_of(with_it) == facts_of(without)
    entry = only(llm_audit)
    assert (entry.status, entry.http_status, entry.error_type) == ("error", status, kind)
    assert (entry.error_message, entry.provider_request_id) == ("the provider's words", "req_e")
    assert (entry.attempts, entry.details) == (1, {"attempt_statuses": [str(status)]})
    assert (entry.input_tokens, entry.cost_usd, entry.output_hash) == (None, None, None)
    assert (entry.model, entry.input_hash is not None) == ("claude-sonnet-4-6", True)


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[]", b'{"error": 5}', b"\xff\x00"])
def test_an_error_in_no_known_form_is_still_an_error(
    body: bytes, client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(Reply(502, body, {"x-should-retry": "false"}))
    raised_by(lambda: client.messages.create(**CALL))
    entry = only(llm_audit)
    assert (entry.status, entry.http_status, entry.error_type) == ("error", 502, "http_502")


def unreachable() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_no_connection(plain: Anthropic, client: Anthropic, llm_audit: RecordedAudit) -> None:
    url = unreachable()
    without = raised_by(lambda: plain.with_options(base_url=url, max_retries=0).messages.create(**CALL))
    with_it = raised_by(lambda: client.with_options(base_url=url, max_retries=0).messages.create(**CALL))
    assert facts_of(with_it) == facts_of(without)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.http_status) == ("error", "APIConnectionError", None)
    assert entry.error_message is not None
    assert entry.error_message.startswith("Connection error. (ConnectError: ")


def test_a_timeout(plain: Anthropic, client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit) -> None:
    api.replies(Reply(hang=True))
    options: dict[str, Any] = {"timeout": 0.2, "max_retries": 0}
    without = raised_by(lambda: plain.with_options(**options).messages.create(**CALL))
    with_it = raised_by(lambda: client.with_options(**options).messages.create(**CALL))
    assert facts_of(with_it) == facts_of(without)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("error", "APITimeoutError")
    assert entry.latency_ms is not None
    assert entry.latency_ms >= 200


@pytest.mark.parametrize("call", [CALL, STREAMED])
@pytest.mark.parametrize("reply", [Reply(hang_up=True), Reply(500, b'{"er', missing_bytes=99)])
def test_a_connection_cut_within_an_answer(
    reply: Reply,
    call: dict[str, Any],
    plain: Anthropic,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(reply)
    errors: list[BaseException] = []
    for one in (plain, client):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - with a stream it is the HTTP library's own error
            one.with_options(max_retries=0).messages.create(**call)
        errors.append(caught.value)
    assert (type(errors[0]), str(errors[0])) == (type(errors[1]), str(errors[1]))
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("error", type(errors[1]).__name__)


@pytest.mark.parametrize("call", [CALL, STREAMED])
def test_an_answer_that_is_cut_short(
    call: dict[str, Any], client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    whole = answer()
    api.replies(Reply(200, whole.body[:20], whole.headers, missing_bytes=50))
    with pytest.raises(Exception):  # noqa: B017, PT011 - the SDK's error, or the HTTP library's for a stream
        list(client.with_options(max_retries=0).messages.create(**call))
    assert only(llm_audit).status != "success"


@pytest.fixture
def interrupted() -> Iterator[Callable[[threading.Event], None]]:
    """Ctrl-C, pressed once the event is set."""
    threads: list[threading.Thread] = []

    def press(when: threading.Event) -> None:
        def wait() -> None:
            if when.wait(20):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield press
    for thread in threads:
        thread.join()


def test_ctrl_c_within_a_call_is_an_aborted_call(
    interrupted: Callable[[threading.Event], None],
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
) -> None:
    api.replies(Reply(hang=True))
    interrupted(api.arrived)
    with pytest.raises(KeyboardInterrupt):
        client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.attempts) == ("aborted", "KeyboardInterrupt", 1)


def test_a_cancelled_task_is_an_aborted_call(api: ScriptedApi, llm_audit: RecordedAudit) -> None:
    api.replies(Reply(hang=True))

    async def run() -> None:
        async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[llm_audit.audit]) as client:
            task = asyncio.create_task(client.messages.create(**CALL))
            await asyncio.to_thread(api.arrived.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    entry = only(llm_audit)
    assert (entry.status, entry.error_type) == ("aborted", "CancelledError")


def test_a_call_left_while_it_waits_for_its_retry_is_recorded_at_the_end(
    api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(Reply(429, b"{}", {"retry-after": "30"}))

    async def run() -> None:
        async with AsyncAnthropic(base_url=api.url, api_key=KEY, middleware=[llm_audit.audit]) as client:
            task = asyncio.create_task(client.messages.create(**CALL))
            await asyncio.to_thread(api.arrived.wait, 20)
            while not llm_audit.audit._parked._parked:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert llm_audit.logger.close() == 0
    (entry,) = llm_audit.sink.entries
    assert (entry.status, entry.http_status, entry.attempts) == ("error", 429, 1)


SECRETS = [
    (f"your key {KEY} is not valid", KEY),
    ("invalid x-api-key: abcdefgh12345678", "abcdefgh12345678"),
    ("Bearer eyJhbGciOi.J9eyJzdWIi.abc refused", "eyJhbGciOi"),
    ("cannot reach http://user:hunter2hunter2@proxy:3128", "hunter2"),
]


@pytest.mark.parametrize(("words", "secret"), SECRETS)
def test_secrets_in_errors_stay_out_of_entries_and_logs(
    words: str,
    secret: str,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "llm_audit_producer")
    api.replies(failing(401, "authentication_error", words))
    raised_by(lambda: client.messages.create(**CALL))
    llm_audit.logger.log_error(error=PermissionError(words))
    for entry in llm_audit.entries():
        assert secret not in repr(entry)
        assert "[redacted]" in (entry.error_message or "")
    assert secret not in caplog.text


def test_a_key_of_any_form_that_the_provider_repeats_stays_out(
    plain: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    mine = "0123-gateway-key-without-a-known-form"
    api.replies(failing(401, "authentication_error", f"no such key: {mine}"))
    client = plain.with_options(api_key=mine).with_middleware(llm_audit.audit)
    raised_by(lambda: client.messages.create(**CALL))
    entry = only(llm_audit)
    assert mine not in repr(entry)
    assert entry.api_key_fingerprint is not None
