"""The lesson's own door, ``AuditLogger``: hashes that agree with the middleware's, and arguments of any kind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from anthropic import Anthropic

from llm_audit_producer import AuditLogger, MemorySink
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import STATUSES, HashKey
from tests.producer.conftest import ScriptedApi, answer, only
from tests.producer.test_context import ODD_METADATA, Broken

TEXT = "What is in the box?"
SAME_INPUT: list[Any] = [
    TEXT,
    [{"role": "user", "content": TEXT}],
    [{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
    ({"role": "user", "content": ({"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}},)},),
]


def test_the_same_content_has_the_same_hash_whichever_way_it_comes(
    client: Anthropic, api: ScriptedApi, llm_audit: RecordedAudit
) -> None:
    api.replies(answer("A cat."))
    call = {"model": "claude-sonnet-4-6", "max_tokens": 9}
    for messages in SAME_INPUT[1:]:
        client.messages.create(**call, system="Be brief.", messages=messages)  # type: ignore[call-overload]
    system = [{"type": "text", "text": "Be brief."}]
    message = client.messages.create(**call, system=system, messages=SAME_INPUT[1])  # type: ignore[call-overload]
    for input_text in SAME_INPUT:
        llm_audit.logger.log_request(
            model="m", system_prompt="Be brief.", input_text=input_text, output_text="A cat."
        )
    llm_audit.logger.log_request(
        model="m", system_prompt=system, input_text=TEXT, output_text=message.content, usage=message.usage
    )
    llm_audit.logger.log_error(
        model="m", system_prompt="Be brief.", input_text=TEXT, output_text="A cat.", status="aborted"
    )
    entries = llm_audit.entries()
    assert len(entries) == 10
    (hashes,) = {(one.system_prompt_hash, one.input_hash, one.output_hash) for one in entries}
    assert len(set(hashes)) == 3
    assert None not in hashes
    assert {(one.content_mode, one.hash_key_id, one.input_bytes) for one in entries} == {
        ("hash", "pytest", entries[0].input_bytes)
    }
    assert entries[-2].output_tokens == 5


def test_what_is_changed_after_log_request_does_not_change_the_hash(llm_audit: RecordedAudit) -> None:
    logger = llm_audit.logger
    logger.log_request(input_text="so that the recorder's thread runs")
    logger.flush()
    messages = [{"role": "user", "content": "hi"}]
    usage: dict[str, Any] = {"input_tokens": 1, "output_tokens": 2}
    events = {"email": 1}
    with logger._recorder._lock:  # the recorder's thread cannot take the call before it was changed
        logger.log_request(input_text=messages, usage=usage, sanitization_events=events)
        messages.append({"role": "assistant", "content": "hello"})
        usage["output_tokens"] = 99
        events["email"] = 99
    logger.log_request(input_text=[{"role": "user", "content": "hi"}])
    _first, changed, same = llm_audit.entries()
    assert changed.input_hash == same.input_hash
    assert changed.output_tokens == 2
    assert (changed.details or {})["sanitization_events"] == {"email": 1}


def test_without_a_key_nothing_is_kept_of_content_and_that_is_said_once(
    plain: Anthropic, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)
    for _ in range(3):
        logger.log_request(model="m", input_text="secret words", output_text=["secret"], system_prompt="s")
    logger.close()
    for entry in sink.entries:
        assert (entry.content_mode, entry.hash_key_id, entry.canonical_form) == ("none", None, None)
        assert (entry.system_prompt_hash, entry.input_hash, entry.output_hash) == (None, None, None)
        assert (entry.input_bytes, entry.output_bytes) == (None, None)
    assert sum("no hash key is set" in record.getMessage() for record in caplog.records) == 1


def test_the_hash_keys_secret_is_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = b"0123456789abcdef0123456789abcdef"
    sink = MemorySink()
    logger = AuditLogger(sink, hash_key=HashKey("k", secret))
    logger.log_request(model="m", input_text="x")
    logger.close()
    shown = repr(logger._settings) + repr(sink.entries) + caplog.text + repr(logger._recorder.__dict__)
    assert secret.decode() not in shown
    assert repr(secret) not in shown


PLAIN_FIELDS = [
    *("user_id", "model", "action", "latency_ms", "sanitization_count", "metadata"),
    *("provider", "requested_model", "provider_request_id", "response_id", "batch_id", "custom_id"),
    *("stop_reason", "error_type", "error_message", "trace_id", "span_id", "sdk", "session_id", "tenant"),
    *("run_id", "time_to_first_token_ms", "http_status", "attempts", "input_tokens", "output_tokens"),
    *("thinking_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("server_tool_requests", "service_tier", "inference_geo", "speed", "streamed", "status", "tool_names"),
    *("sanitization_events", "usage", "system_prompt", "input_text", "output_text", "error", "nobody_knows"),
]
ODD_VALUES: list[tuple[str, Callable[[], Any]]] = [
    *ODD_METADATA,
    ("empty text", lambda: ""),
    ("negative", lambda: -1),
    ("too large", lambda: 2**80),
    ("fraction", lambda: 1.5),
    ("nan", lambda: float("nan")),
    ("infinite", lambda: float("inf")),
    ("bool", lambda: True),
    ("bytes", lambda: b"\x00\xff"),
    ("list of broken", lambda: [Broken(), Broken()]),
    ("long list", lambda: ["name"] * 200_000),
]


@pytest.mark.parametrize(("name", "make"), ODD_VALUES, ids=[name for name, _ in ODD_VALUES])
def test_no_argument_of_any_kind_raises_or_loses_the_entry(
    name: str, make: Callable[[], Any], llm_audit: RecordedAudit
) -> None:
    """Each field alone, and all of them at once; the entries also fit the contract's bytes."""
    from llm_audit_schemas import EntryCodec

    codec = EntryCodec()
    for log in (llm_audit.logger.log_request, llm_audit.logger.log_error):
        doors: list[Callable[..., str]] = [log]
        for door in doors:
            for field in PLAIN_FIELDS:
                door(**{field: make()})
            door(**{field: make() for field in PLAIN_FIELDS})
    entries = llm_audit.entries(60)
    statistics = llm_audit.logger.statistics()
    assert (dict(statistics.lost), dict(statistics.capture_errors)) == ({}, {})
    assert len(entries) == 2 * (len(PLAIN_FIELDS) + 1)
    for entry in entries:
        assert codec.decode(codec.encode(entry)).request_id == entry.request_id
        assert len(codec.encode(entry)) < 100_000
        assert entry.status in STATUSES


def test_what_could_not_be_used_is_named(llm_audit: RecordedAudit) -> None:
    llm_audit.logger.log_request(
        model="m",
        latency_ms="soon",
        input_tokens=-1,
        output_tokens=float("inf"),
        status="perhaps",
        colour="red",
    )
    entry = only(llm_audit)
    assert (entry.details or {})["invalid"] == [
        "colour",
        "input_tokens",
        "latency_ms",
        "output_tokens",
        "status",
    ]
    assert (entry.latency_ms, entry.input_tokens, entry.output_tokens, entry.status) == (
        None,
        None,
        None,
        "success",
    )


def test_the_lessons_own_call_fills_its_own_fields(llm_audit: RecordedAudit) -> None:
    request_id = llm_audit.logger.log_request(
        "u-1",
        "claude-sonnet-4-5-20250929",
        "summarise",
        "Be brief.",
        "in",
        "out",
        {"input_tokens": 1000, "output_tokens": 100},
        1234,
        2,
        {"ticket": 7},
    )
    entry = only(llm_audit)
    assert (entry.request_id, entry.user_id, entry.action) == (request_id, "u-1", "summarise")
    assert (entry.input_tokens, entry.output_tokens, entry.latency_ms) == (1000, 100, 1234)
    assert (entry.sanitization_count, entry.metadata, entry.provider) == (2, {"ticket": 7}, "anthropic")
    assert entry.cost_usd is not None
    assert llm_audit.logger.last_request_id == request_id


def test_an_error_that_reported_usage_keeps_it(llm_audit: RecordedAudit) -> None:
    llm_audit.logger.log_error(
        "u-1",
        "m",
        error=TimeoutError("too late"),
        usage={"input_tokens": 3},
        output_tokens=4,
        http_status=504,
    )
    entry = only(llm_audit)
    assert (entry.status, entry.error_type, entry.error_message) == ("error", "TimeoutError", "too late")
    assert (entry.input_tokens, entry.output_tokens, entry.http_status) == (3, 4, 504)
    assert entry.details is None or "invalid" not in entry.details


def test_the_last_request_id_is_this_loggers_own(llm_audit: RecordedAudit) -> None:
    other = AuditLogger(MemorySink())
    mine = llm_audit.logger.log_request(model="m")
    assert other.last_request_id is None
    other.log_request(model="m")
    assert llm_audit.logger.last_request_id == mine
    other.close()


def test_a_text_without_end_is_bounded(llm_audit: RecordedAudit) -> None:
    llm_audit.logger.log_error(
        "u" * 10**6,
        "m" * 10**6,
        error="e" * 10**6,
        trace_id="t" * 10**6,
        span_id="s" * 10**6,
        tool_names=["n" * 10**6],
    )
    assert len(repr(only(llm_audit))) < 10_000


def test_an_entry_says_the_call_began_its_latency_ago(llm_audit: RecordedAudit) -> None:
    llm_audit.logger.log_request(model="m")
    llm_audit.logger.log_request(model="m", latency_ms=3_600_000)
    now, hour_ago = llm_audit.entries()
    assert 3590 < (now.timestamp - hour_ago.timestamp).total_seconds() < 3610
