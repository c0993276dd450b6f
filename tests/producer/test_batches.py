"""Message batches: one entry for the creation, one for each result that is read, the same one when it is read again."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from anthropic import Anthropic, AsyncAnthropic

from llm_audit_producer.demo.local_api import Asked, LocalApi, Reply, json_reply
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry, content_hash
from tests.producer.test_redaction import KEY

CREATED = "2026-11-20T10:00:00.123000+00:00"
REQUESTS: list[Any] = [
    {
        "custom_id": name,
        "params": {
            "model": "claude-sonnet-4-6",
            "max_tokens": 8,
            "messages": [{"role": "user", "content": name}],
        },
    }
    for name in ("first", "second")
]


def message(text: str) -> dict[str, Any]:
    return {
        "id": f"msg_{text}",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1000, "output_tokens": 100, "service_tier": "batch"},
    }


RESULTS = [
    {"custom_id": "first", "result": {"type": "succeeded", "message": message("one")}},
    {"custom_id": "second", "result": {"type": "errored", "error": {"type": "error", "error": {
        "type": "invalid_request_error", "message": "max_tokens: too small"}}}},
    {"custom_id": "third", "result": {"type": "canceled"}},
    {"custom_id": "fourth", "result": {"type": "expired"}},
]  # fmt: skip


class BatchApi:
    """Speaks the batches' endpoints."""

    def __init__(self) -> None:
        self.url = ""
        self.encoding = ""

    def answer(self, asked: Asked) -> Reply:
        if asked.path.partition("?")[0].endswith("/results"):
            body = "\n".join(json.dumps(each) for each in RESULTS).encode()
            headers = {"content-type": "application/x-jsonl"}
            if self.encoding:
                body, headers["content-encoding"] = gzip.compress(body), self.encoding
            return Reply(200, body, headers)
        batch = {
            "id": "msgbatch_1",
            "type": "message_batch",
            "created_at": CREATED,
            "processing_status": "ended",
        }
        results = f"{self.url}/v1/messages/batches/msgbatch_1/results"
        return json_reply({**batch, "results_url": results}, headers={"request-id": "req_b"})


@pytest.fixture
def api() -> Iterator[BatchApi]:
    batches = BatchApi()
    with LocalApi(batches.answer) as server:
        batches.url = server.url
        yield batches


@pytest.fixture
def client(api: BatchApi, llm_audit: RecordedAudit) -> Anthropic:
    return Anthropic(base_url=api.url, api_key="k", max_retries=0).with_middleware(llm_audit.audit)


def read_results(client: Anthropic) -> None:
    read = [each.custom_id for each in client.messages.batches.results("msgbatch_1")]
    assert read == ["first", "second", "third", "fourth"]


def test_creating_a_batch_is_one_entry(client: Anthropic, llm_audit: RecordedAudit) -> None:
    with llm_audit.audit.context(user_id="ada"):
        client.messages.batches.create(requests=REQUESTS)
    (entry,) = llm_audit.entries()
    assert (entry.action, entry.status, entry.batch_id) == (
        "messages.batches.create",
        "success",
        "msgbatch_1",
    )
    assert (entry.user_id, entry.model, entry.input_tokens) == ("ada", "claude-sonnet-4-6", None)
    assert (entry.cost_usd, entry.cost_reason) == (None, "no_usage")
    assert entry.input_hash is not None


def test_each_result_is_one_entry_at_the_batch_price(client: Anthropic, llm_audit: RecordedAudit) -> None:
    with llm_audit.audit.context(user_id="ada"):
        read_results(client)
    entries = {entry.custom_id: entry for entry in llm_audit.entries()}
    assert len(entries) == 4
    first = entries["first"]
    assert (first.action, first.status, first.user_id) == ("messages.batches.result", "success", "ada")
    assert (first.batch_id, first.response_id, first.service_tier) == ("msgbatch_1", "msg_one", "batch")
    assert first.output_hash == content_hash(KEY, "output", "one")
    # Half of 1000 input tokens at $3 and 100 output tokens at $15 a million.
    assert first.cost_usd == Decimal("0.00225")
    assert (first.latency_ms, first.http_status) == (None, None)
    assert (entries["second"].status, entries["second"].error_type) == ("error", "invalid_request_error")
    assert entries["second"].error_message == "max_tokens: too small"
    assert (entries["third"].status, entries["third"].error_type) == ("aborted", "canceled")
    assert (entries["fourth"].status, entries["fourth"].error_type) == ("error", "expired")


def ids(entries: tuple[AuditEntry, ...]) -> list[str]:
    return [entry.request_id for entry in entries]


def test_reading_twice_gives_the_same_ids(client: Anthropic, llm_audit: RecordedAudit) -> None:
    read_results(client)
    read_results(client)
    found = ids(llm_audit.entries())
    assert found[:4] == found[4:]
    assert len(set(found)) == 4


def test_asynchronous_and_compressed(api: BatchApi, client: Anthropic, llm_audit: RecordedAudit) -> None:
    api.encoding = "gzip"
    read_results(client)
    synchronous = ids(llm_audit.entries())

    async def run() -> None:
        plain = AsyncAnthropic(base_url=api.url, api_key="k", max_retries=0)
        async with plain.with_middleware(llm_audit.audit) as asynchronous:
            results = await asynchronous.messages.batches.results("msgbatch_1")
            assert len([each async for each in results]) == 4

    asyncio.run(run())
    assert ids(llm_audit.entries())[4:] == synchronous


def test_results_that_are_not_read_leave_no_entry(client: Anthropic, llm_audit: RecordedAudit) -> None:
    results = client.messages.batches.results("msgbatch_1")
    next(iter(results))
    assert {entry.custom_id for entry in llm_audit.entries()} <= {"first", "second", "third", "fourth"}
    client.messages.batches.retrieve("msgbatch_1")
    count = len(llm_audit.entries())
    client.messages.batches.retrieve("msgbatch_1")
    assert len(llm_audit.entries()) == count
