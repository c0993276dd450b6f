"""What one entry says of an answered call, by every way the SDK offers to make it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel, field_validator

from llm_audit_producer import AuditedClient, AuditSettingsError, MemorySink
from llm_audit_producer.anthropic_sdk.middleware import Audit
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry, request_id_time
from tests.api.server import Reply, json_reply
from tests.producer.conftest import CALL, KEY, ScriptedApi, answer, only

Use = Callable[[Anthropic], Any]

BY_EVERY_WAY = [
    (lambda client: client.messages.create(**CALL), "messages.create"),
    (lambda client: client.messages.with_raw_response.create(**CALL).parse(), "messages.create"),
    (lambda client: client.beta.messages.create(**CALL), "beta.messages.create"),
    (lambda client: client.with_options(timeout=9).messages.create(**CALL), "messages.create"),
    (lambda client: client.copy().messages.create(**CALL), "messages.create"),
]


def take_streaming_response(client: Anthropic) -> Any:
    with client.messages.with_streaming_response.create(**CALL) as response:
        return response.parse()


def take_async(client: Anthropic) -> Any:
    async def run() -> Any:
        async with AsyncAnthropic(
            base_url=client.base_url,
            api_key=KEY,
            middleware=client.middleware,
        ) as asynchronous:
            return await asynchronous.messages.create(**CALL)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("use", "action"),
    [*BY_EVERY_WAY, (take_streaming_response, "messages.create"), (take_async, "messages.create")],
)
def test_an_answered_call_makes_one_entry_with_its_facts(
    use: Use, action: str, client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    tool = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}
    usage = {
        "input_tokens": 7,
        "output_tokens": 5,
        "cache_read_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
        "output_tokens_details": {"thinking_tokens": 4},
        "service_tier": "standard",
    }
    api.replies(answer(content=[tool], stop_reason="tool_use", usage=usage))
    before = datetime.now(UTC)
    assert use(client).stop_reason == "tool_use"
    entry = only(llm_audit)
    assert (entry.status, entry.action, entry.http_status, entry.attempts) == ("success", action, 200, 1)
    assert (entry.requested_model, entry.model) == ("claude-sonnet-4-6", "claude-sonnet-4-5-20250929")
    assert (entry.input_tokens, entry.output_tokens, entry.thinking_tokens) == (7, 5, 4)
    assert (entry.cache_read_tokens, entry.cache_write_5m_tokens, entry.cache_write_1h_tokens) == (3, 2, 1)
    assert (entry.stop_reason, entry.tool_names, entry.service_tier) == ("tool_use", ("search",), "standard")
    assert (entry.response_id, entry.provider_request_id) == ("msg_01", "req_1")
    assert entry.latency_ms is not None
    assert 0 <= entry.latency_ms < 20_000
    assert before <= entry.timestamp <= datetime.now(UTC)
    assert request_id_time(entry.request_id) == entry.timestamp.replace(
        microsecond=entry.timestamp.microsecond // 1000 * 1000
    )
    assert entry.sdk == f"anthropic/{anthropic.__version__}"
    assert (entry.error_type, entry.error_message, entry.streamed) == (None, None, False)


def test_what_the_api_did_not_report_is_null_not_zero(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(answer(usage={"input_tokens": 0, "output_tokens": 5}))
    client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.input_tokens, entry.output_tokens) == (0, 5)
    assert (entry.thinking_tokens, entry.cache_read_tokens, entry.cache_write_5m_tokens) == (None, None, None)


def test_usage_no_column_can_hold_is_null_and_the_entry_arrives(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(answer(usage={"input_tokens": 2**70, "output_tokens": -1}))
    client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.status, entry.input_tokens, entry.output_tokens) == ("success", None, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"no json", b'"text"', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_message_is_the_callers_matter_and_still_an_entry(
    body: bytes, client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(Reply(200, body, {"content-type": "application/json"}))
    with contextlib.suppress(Exception):  # whatever the SDK makes of it
        client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.http_status, entry.input_tokens, entry.model) == (200, None, "claude-sonnet-4-6")


def use_nothing_of_a_model(client: Anthropic) -> None:
    client.messages.count_tokens(model="claude-sonnet-4-6", messages=[{"role": "user", "content": "hi"}])
    client.models.list()
    client.models.retrieve("claude-sonnet-4-6")
    client.beta.files.list()
    client.get("/v1/messages", cast_to=object)


def test_calls_that_ask_no_model_leave_no_entry(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(json_reply({"input_tokens": 3, "data": [], "has_more": False, "id": "x"}))
    use_nothing_of_a_model(client)
    assert len(api.asked) == 5
    assert llm_audit.entries() == ()
    assert llm_audit.logger.statistics().captured == 0


@pytest.mark.parametrize("again", [False, True])
def test_the_middleware_added_twice_makes_one_entry(
    again: bool, plain: Anthropic, llm_audit: RecordedAudit
) -> None:
    audit = llm_audit.audit
    client = plain.with_middleware(audit).with_middleware(audit if again else Audit(llm_audit.logger))
    client.messages.create(**CALL)
    only(llm_audit)


def test_an_inner_middleware_of_the_same_call_still_says_who_asks(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    client.with_middleware(llm_audit.audit.on_behalf_of("u-17")).messages.create(**CALL)
    assert only(llm_audit).user_id == "u-17"


def test_a_call_made_within_another_calls_middleware_is_recorded_too(
    plain: Anthropic, llm_audit: RecordedAudit
) -> None:
    audited = plain.with_middleware(llm_audit.audit)

    def guardrail(request: Any, call_next: Any) -> Any:
        audited.messages.create(**{**CALL, "model": "claude-guard"})
        return call_next(request)

    plain.with_middleware(llm_audit.audit).with_middleware(guardrail).messages.create(**CALL)
    models = [entry.requested_model for entry in llm_audit.entries()]
    assert sorted(filter(None, models)) == ["claude-guard", "claude-sonnet-4-6"]


@pytest.mark.parametrize("outside", [True, False])
def test_a_middleware_of_the_user_sees_the_same_call(
    outside: bool, plain: Anthropic, llm_audit: RecordedAudit
) -> None:
    seen: list[int] = []

    def mine(request: Any, call_next: Any) -> Any:
        response = call_next(request)
        seen.append(response.parse().usage.output_tokens)
        return response

    order: list[Any] = [mine, llm_audit.audit] if outside else [llm_audit.audit, mine]
    found = plain.with_options(middleware=order).messages.create(**CALL)
    assert (found.usage.output_tokens, seen) == (5, [5])
    assert only(llm_audit).output_tokens == 5


def test_a_users_middleware_that_answers_by_itself_is_recorded(
    plain: Anthropic, llm_audit: RecordedAudit
) -> None:
    kept: list[Any] = []

    def cache(request: Any, call_next: Any) -> Any:
        if not kept:
            kept.append(call_next(request))
        return kept[0]

    client = plain.with_middleware(llm_audit.audit).with_middleware(cache)
    assert client.messages.create(**CALL).id == client.messages.create(**CALL).id
    assert [entry.status for entry in llm_audit.entries()] == ["success", "success"]


class Weather(BaseModel):
    city: str

    @field_validator("city")
    @classmethod
    def refuse(cls, value: str) -> str:
        if value == "Atlantis":
            raise ValueError("there is no such city")
        return value


@pytest.mark.parametrize(("city", "valid"), [("Oslo", True), ("Atlantis", False)])
def test_parse_with_a_validator_that_raises_is_still_an_answered_call(
    city: str, valid: bool, client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(answer(json.dumps({"city": city})))
    if valid:
        client.messages.parse(**CALL, output_format=Weather)
    else:
        with pytest.raises(ValueError, match="no such city"):
            client.messages.parse(**CALL, output_format=Weather)
    entry = only(llm_audit)
    assert (entry.status, entry.action, entry.output_tokens) == ("success", "messages.parse", 5)


def test_a_response_class_to_cast_to_is_read_as_well(client: Anthropic, llm_audit: RecordedAudit) -> None:
    kind = type(client.messages.with_raw_response.create(**CALL).http_response)
    client.post("/v1/messages", body=CALL, cast_to=kind)
    assert [entry.output_tokens for entry in llm_audit.entries()] == [5, 5]


def hashes_of(entries: tuple[AuditEntry, ...]) -> list[tuple[str | None, str | None]]:
    return [(entry.input_hash, entry.system_prompt_hash) for entry in entries]


def test_what_the_caller_changes_afterwards_does_not_change_the_hash(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    def messages() -> list[dict[str, Any]]:
        block = {"type": "tool_use", "id": "t", "name": "x", "input": {"nested": {"deep": 1}}}
        return [{"role": "assistant", "content": [block]}]

    held = llm_audit.logger._recorder._lock
    mine = messages()
    llm_audit.logger.log_request(input_text="so that the recorder's thread runs")
    llm_audit.entries()
    with held:  # the recorder's thread cannot take the call before it was changed
        client.messages.create(model="claude-sonnet-4-6", max_tokens=1, messages=mine)  # type: ignore[arg-type]
        mine[0]["content"][0]["input"]["nested"]["deep"] = 2
        mine.append({"role": "user", "content": "more"})
    client.messages.create(model="claude-sonnet-4-6", max_tokens=1, messages=messages())  # type: ignore[arg-type]
    _first, changed, same = hashes_of(llm_audit.entries())
    assert changed == same


def test_extra_body_counts_as_what_was_asked(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    client.messages.create(**CALL, extra_body={"system": "be kind", "metadata": {"user_id": "u-9"}})
    client.messages.create(**CALL, system="be kind", metadata={"user_id": "u-9"})
    assert api.asked[0].json() == api.asked[1].json()
    one, other = llm_audit.entries()
    assert one.system_prompt_hash == other.system_prompt_hash is not None
    assert (one.user_id, other.user_id) == ("u-9", "u-9")


def test_an_audited_client_gives_the_entrys_id_and_the_users_name(
    plain: Anthropic, llm_audit: RecordedAudit
) -> None:
    audited = AuditedClient("u-1", llm_audit.logger, plain)
    found = audited.messages_create(**CALL)
    entry = only(llm_audit)
    assert (entry.user_id, entry.request_id) == ("u-1", found.audit_request_id)
    assert "audit_request_id" not in json.dumps(found.to_dict())
    assert "audit_request_id" not in found.model_dump_json()


def test_an_audited_client_raises_the_sdks_error_and_the_logger_knows_the_id(
    plain: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(json_reply({"error": {"type": "invalid_request_error", "message": "no"}}, 400))
    with pytest.raises(anthropic.BadRequestError):
        AuditedClient("u-1", llm_audit.logger, plain).messages_create(**CALL)
    assert only(llm_audit).request_id == llm_audit.logger.last_request_id


def test_an_audited_client_over_a_client_that_is_audited_already_names_its_user(
    client: Anthropic, llm_audit: RecordedAudit
) -> None:
    AuditedClient("u-1", llm_audit.logger, client).messages_create(**CALL)
    assert only(llm_audit).user_id == "u-1"


def test_middlewares_of_one_logger_leave_nothing_behind(llm_audit: RecordedAudit) -> None:
    audit = llm_audit.audit
    before = len(llm_audit.logger._recorder._ticks)
    for number in range(50):
        audit.on_behalf_of(f"u-{number}")
    assert len(llm_audit.logger._recorder._ticks) == before == 1


def test_settings_beside_a_logger_are_refused_rather_than_ignored(llm_audit: RecordedAudit) -> None:
    with pytest.raises(AuditSettingsError, match="service"):
        Audit(llm_audit.logger, service="ignored")
    with pytest.raises(AuditSettingsError, match="sink"):
        Audit(llm_audit.logger, sink=MemorySink())


def test_when_off_nothing_happens_and_it_says_so(
    plain: Anthropic, api: ScriptedApi, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    audit = Audit(sink=sink, enabled=False, require_user=True)
    assert "auditing is OFF" in caplog.text
    assert plain.with_middleware(audit).messages.create(**CALL).id == "msg_01"
    audit.logger.log_request(model="claude-sonnet-4-6")
    audit.logger.log_error(error=ValueError("x"))
    assert audit.close() == 0
    assert (sink.entries, audit.logger.statistics().captured, audit.logger.statistics().unattributed) == (
        (),
        0,
        0,
    )
    plain.messages.create(**CALL)
    with_it, without = api.asked
    # The one header is the SDK's own, which it sends where there is any middleware at all.
    assert set(with_it.headers) - {"x-stainless-raw-response"} == set(without.headers)
    assert with_it.body == without.body
