"""A sanitizer sees what is about to leave, may rewrite it, and may stop it: on every path."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer import Audit, AuditBlocked, Block, Sanitized
from llm_audit_producer.demo.local_api import Asked, LocalApi, Reply, error_reply, json_reply
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import HashKey, content_hash
from tests.producer.streams import sse, text_stream

KEY = HashKey.parse("pytest:YSBmaXhlZCBrZXksIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNl")
SECRET = "the launch code is 0000"
CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": SECRET}],
}
REDACTED = [{"role": "user", "content": "the launch code is [CODE]"}]


class Api:
    """Answers calls and streams; remembers every body it was sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.refusals = 0

    def answer(self, asked: Asked) -> Reply:
        body = asked.json()
        self.bodies.append(body)
        if self.refusals > 0:
            self.refusals -= 1
            return error_reply(429, "rate_limit_error", "later", {"retry-after": "0"})
        if asked.path.startswith("/v1/messages/count_tokens"):
            return json_reply({"input_tokens": 3})
        if asked.path.startswith("/v1/messages/batches"):
            return json_reply(
                {"id": "msgbatch_1", "type": "message_batch", "processing_status": "in_progress"}
            )
        if body.get("stream"):
            return Reply(200, sse(text_stream()), {"content-type": "text/event-stream"})
        message = {"id": "msg", "type": "message", "role": "assistant", "model": body["model"], "content": []}
        return json_reply(
            {**message, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
        )


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with LocalApi(api.answer) as server:
        yield server.url


def redact(body: Mapping[str, Any]) -> Sanitized:
    text = json.dumps(body)
    return Sanitized(json.loads(text.replace("0000", "[CODE]")), {"code": text.count("0000")})


async def redact_later(body: Mapping[str, Any]) -> Sanitized:
    await asyncio.sleep(0)
    return redact(body)


def stop(_body: Mapping[str, Any]) -> Sanitized:
    raise Block("a launch code", {"code": 2})


def fail(_body: Mapping[str, Any]) -> Sanitized:
    raise ZeroDivisionError(SECRET)


async def fail_later(body: Mapping[str, Any]) -> Sanitized:
    raise RuntimeError(str(body))


def give_nonsense(_body: Mapping[str, Any]) -> Any:
    return {"not": "a Sanitized"}


def create(client: Anthropic) -> None:
    client.messages.create(**CALL)


def stream(client: Anthropic) -> None:
    with client.messages.stream(**CALL) as events:
        events.get_final_message()


def raw(client: Anthropic) -> None:
    client.messages.with_raw_response.create(**CALL)


Use = Callable[[Anthropic], None]
EVERY_WAY = pytest.mark.parametrize("use", [create, stream, raw])


def audited(url: str, llm_audit: RecordedAudit, sanitizer: Any, **options: Any) -> Anthropic:
    audit = Audit(llm_audit.logger, sanitizer=sanitizer, **options)
    return Anthropic(base_url=url, api_key="k", max_retries=2).with_middleware(audit)


@EVERY_WAY
def test_what_leaves_and_what_is_hashed_is_what_the_sanitizer_made(
    use: Use, url: str, api: Api, llm_audit: RecordedAudit
) -> None:
    use(audited(url, llm_audit, redact))
    (body,) = api.bodies
    (entry,) = llm_audit.entries()
    assert body["messages"] == REDACTED
    assert entry.input_hash == content_hash(KEY, "input", REDACTED)
    assert (entry.status, entry.sanitization_count) == ("success", 1)
    assert entry.details is not None
    assert entry.details["sanitization_events"] == {"code": 1}
    assert CALL["messages"][0]["content"] == SECRET


@EVERY_WAY
def test_a_stopped_call_sends_nothing_and_is_on_record(
    use: Use, url: str, api: Api, llm_audit: RecordedAudit
) -> None:
    with pytest.raises(AuditBlocked, match="a launch code") as caught:
        use(audited(url, llm_audit, stop))
    (entry,) = llm_audit.entries()
    assert api.bodies == []
    assert (entry.status, entry.error_message, entry.attempts) == ("blocked", "a launch code", 0)
    assert (entry.sanitization_count, entry.http_status) == (2, None)
    assert caught.value.request_id == entry.request_id


@EVERY_WAY
@pytest.mark.parametrize("sanitizer", [fail, give_nonsense, redact_later])
def test_a_sanitizer_that_fails_stops_the_call(
    sanitizer: Any, use: Use, url: str, api: Api, llm_audit: RecordedAudit, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AuditBlocked, match="sanitizer failed"):
        use(audited(url, llm_audit, sanitizer))
    (entry,) = llm_audit.entries()
    assert api.bodies == []
    assert entry.status == "blocked"
    assert SECRET not in str(entry)
    assert SECRET not in caplog.text


def test_a_sanitizer_that_fails_lets_the_call_pass_where_that_is_wanted(
    url: str, api: Api, llm_audit: RecordedAudit
) -> None:
    create(audited(url, llm_audit, fail, sanitizer_fail_open=True))
    (entry,) = llm_audit.entries()
    assert len(api.bodies) == 1
    assert entry.status == "success"
    assert entry.details is not None
    assert entry.details["sanitization_events"] == {"sanitizer_failed": 1}


def test_every_attempt_sends_the_redacted_request(url: str, api: Api, llm_audit: RecordedAudit) -> None:
    asked = []

    def once(body: Mapping[str, Any]) -> Sanitized:
        asked.append(body)
        return redact(body)

    api.refusals = 2
    create(audited(url, llm_audit, once))
    (entry,) = llm_audit.entries()
    assert [body["messages"] for body in api.bodies] == [REDACTED] * 3
    assert len(asked) == 1
    assert (entry.attempts, entry.sanitization_count) == (3, 1)


@pytest.mark.parametrize("sanitizer", [redact, redact_later])
def test_asynchronous_clients_take_either_kind_of_sanitizer(
    sanitizer: Any, url: str, api: Api, llm_audit: RecordedAudit
) -> None:
    async def run() -> None:
        audit = Audit(llm_audit.logger, sanitizer=sanitizer)
        async with AsyncAnthropic(base_url=url, api_key="k").with_middleware(audit) as client:
            await client.messages.create(**CALL)
            async with client.messages.stream(**CALL) as events:
                await events.get_final_message()

    asyncio.run(run())
    assert [body["messages"] for body in api.bodies] == [REDACTED] * 2
    assert [entry.sanitization_count for entry in llm_audit.entries()] == [1, 1]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("sanitizer", "verdict"),
    [(stop, "a launch code"), (fail, "sanitizer failed"), (fail_later, "sanitizer failed")],
)
def test_asynchronous_clients_are_stopped_too(
    sanitizer: Any, verdict: str, streamed: bool, url: str, api: Api, llm_audit: RecordedAudit
) -> None:
    async def run() -> None:
        audit = Audit(llm_audit.logger, sanitizer=sanitizer)
        async with AsyncAnthropic(base_url=url, api_key="k").with_middleware(audit) as client:
            if streamed:
                async with client.messages.stream(**CALL) as events:
                    await events.get_final_message()
            else:
                await client.messages.create(**CALL)

    with pytest.raises(AuditBlocked, match=verdict):
        asyncio.run(run())
    (entry,) = llm_audit.entries()
    assert api.bodies == []
    assert (entry.status, entry.streamed, SECRET in str(entry)) == ("blocked", streamed, False)


def test_counting_tokens_sends_content_too(url: str, api: Api, llm_audit: RecordedAudit) -> None:
    client = audited(url, llm_audit, redact)
    client.messages.count_tokens(model=CALL["model"], messages=CALL["messages"])
    assert api.bodies[0]["messages"] == REDACTED
    with pytest.raises(AuditBlocked):
        audited(url, llm_audit, stop).messages.count_tokens(model=CALL["model"], messages=CALL["messages"])
    assert len(api.bodies) == 1


def test_each_request_of_a_batch_is_seen(url: str, api: Api, llm_audit: RecordedAudit) -> None:
    requests = [{"custom_id": name, "params": CALL} for name in ("a", "b")]
    audited(url, llm_audit, redact).messages.batches.create(requests=requests)  # type: ignore[arg-type]  # plain dicts
    sent = api.bodies[0]["requests"]
    assert [each["params"]["messages"] for each in sent] == [REDACTED, REDACTED]
    assert [each["custom_id"] for each in sent] == ["a", "b"]


def test_the_sanitizer_holds_though_auditing_is_off(url: str, api: Api) -> None:
    audit = Audit(enabled=False, sanitizer=redact)
    create(Anthropic(base_url=url, api_key="k").with_middleware(audit))
    assert api.bodies[0]["messages"] == REDACTED
