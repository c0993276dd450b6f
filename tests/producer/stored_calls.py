"""Calls of every kind that has a price or a reason of its own, and the rows that they become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from llm_audit_producer import messages_api
from llm_audit_producer.call import Call
from llm_audit_producer.composition import entry_builder
from llm_audit_producer.loose_arguments import Arguments
from llm_audit_producer.pricing.recompute import StoredCall
from llm_audit_producer.settings import ProducerSettings
from llm_audit_schemas import AuditEntry, EntryCodec, new_producer_id, request_id_at

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
SONNET = "claude-sonnet-4-5-20250929"
OPUS = "claude-opus-4-8"
PRODUCER = new_producer_id()
_CODEC = EntryCodec()


def call_of(usage: Mapping[str, Any] | None, number: int = 0, **changes: Any) -> Call:
    """A call with this usage block, read as the middleware reads it."""
    at = AT + timedelta(seconds=number)
    facts: dict[str, Any] = {
        "request_id": request_id_at(at),
        "started_at": at,
        "provider": "anthropic",
        "action": "messages.create",
        "status": "success",
        "requested_model": SONNET,
        **changes,
    }
    beside = facts.pop("beside", {})
    answered = facts.pop("model", facts["requested_model"])
    call = Call(**facts)
    if usage is not None:
        messages_api.read_message(call, {"type": "message", "model": answered, "usage": usage})
    if beside:
        Arguments(beside).read_usage(call, usage)
    if facts["action"] == "messages.batches.result" and call.usage.service_tier is None:
        call.usage.service_tier = "batch"
    return call


def plain(**more: Any) -> dict[str, Any]:
    return {"input_tokens": 1000, "output_tokens": 100, **more}


def iteration(kind: str = "message", tokens: int = 1000, **more: Any) -> dict[str, Any]:
    return {"type": kind, "input_tokens": tokens, "output_tokens": 100, **more}


_SPLIT = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 7}

# What a call was, and what its cost or its reason must be by the list prices; None where only sameness is claimed.
CASES: dict[str, tuple[Call, str]] = {
    "plain": (call_of(plain()), "0.0045"),
    "answered by another": (call_of(plain(), model=OPUS), "0.0075"),
    "cache": (
        call_of(plain(cache_creation_input_tokens=37, cache_creation=_SPLIT, cache_read_input_tokens=500)),
        "0.0048045",  # 1000*3 + 100*15 + 500*0.3 + 30*3.75 + 7*6 millionths
    ),
    "cache writes without lifetime": (
        call_of(plain(cache_creation_input_tokens=37)),
        "0.00463875",
    ),
    "cache writes of another lifetime": (
        call_of(plain(cache_creation_input_tokens=9, cache_creation={"ephemeral_1d_input_tokens": 9})),
        "cache_lifetime_unknown",
    ),
    "cache writes that do not add up": (
        call_of(plain(cache_creation_input_tokens=36, cache_creation=_SPLIT)),
        "usage_inconsistent",
    ),
    "cache writes that are no number": (
        call_of(plain(cache_creation_input_tokens="37", cache_creation=_SPLIT)),
        "usage_inconsistent",
    ),
    "long prompt": (call_of(plain(cache_read_input_tokens=200_000)), "0.12825"),
    "thinking": (call_of(plain(output_tokens_details={"thinking_tokens": 90})), "0.0045"),
    "searches": (
        call_of(plain(server_tool_use={"web_search_requests": 3, "web_fetch_requests": 2})),
        "0.0345",
    ),
    "no searches": (
        call_of(plain(server_tool_use={"web_search_requests": 0, "web_fetch_requests": 0})),
        "0.0045",
    ),
    "other server tool": (
        call_of(plain(server_tool_use={"code_execution_requests": 1})),
        "server_tool_unpriced",
    ),
    "batch said": (call_of(plain(service_tier="batch"), requested_model=OPUS), "0.00375"),
    "batch not said": (
        call_of(plain(), requested_model=OPUS, action="messages.batches.result", batch_id="b", custom_id="c"),
        "0.00375",
    ),
    "batch before its price was known": (
        call_of(plain(service_tier="batch"), requested_model=OPUS, started_at=AT - timedelta(days=300)),
        "batch_unpriced",
    ),
    "fast": (call_of(plain(speed="fast"), requested_model=OPUS), "0.015"),
    "fast where there is no such price": (call_of(plain(speed="fast")), "fast_mode_unpriced"),
    "geography": (call_of(plain(inference_geo="us")), "inference_geo_unpriced"),
    "no geography": (call_of(plain(inference_geo="global")), "0.0045"),
    "priority tier": (call_of(plain(service_tier="priority")), "service_tier_unpriced"),
    "compaction": (
        call_of(plain(iterations=[iteration("compaction", 9000), iteration()])),
        "0.033",  # (9000 + 1000)*3 + 200*15
    ),
    "compaction in fast mode": (
        call_of(plain(speed="fast", iterations=[iteration("compaction"), iteration()]), requested_model=OPUS),
        "compaction_unpriced",
    ),
    "advisor": (
        call_of(plain(iterations=[iteration(), iteration("advisor_message", model=OPUS)])),
        "0.012",  # 0.0045, and 1000*5 + 100*25
    ),
    "advisor that nobody knows": (
        call_of(plain(iterations=[iteration(), iteration("advisor_message", model="?")])),
        "advisor_unpriced",
    ),
    "searches without a price": (
        call_of(plain(server_tool_use={"web_search_requests": 1}), requested_model="claude-3-haiku-20240307"),
        "rate_unknown",
    ),
    "fallback": (
        call_of(plain(iterations=[iteration(), iteration("fallback_message")])),
        "fallback_unpriced",
    ),
    "fallback credit": (call_of(plain(fallback_credit={"status": "redeemed"})), "fallback_unpriced"),
    "a kind of tomorrow": (call_of(plain(iterations=[iteration("dream")])), "iteration_unpriced"),
    "a block too large to keep": (
        call_of(plain(iterations=[iteration(tokens=10)] * 300, output_tokens=30_000)),
        "0.459",  # 300 turns of 10*3 + 100*15
    ),
    "vertex, global": (
        call_of(plain(), provider="gcp.vertex_ai", requested_model="claude-opus-5", region="global"),
        "0.0075",
    ),
    "vertex, regional": (
        call_of(plain(), provider="gcp.vertex_ai", requested_model="claude-opus-5", region="us-east5"),
        "region_unpriced",
    ),
    "bedrock, global": (
        call_of(
            plain(),
            provider="aws.bedrock",
            requested_model="global.anthropic.claude-opus-5",
            model="claude-opus-5",
            region="us-east-1",
        ),
        "0.0075",
    ),
    "bedrock, regional": (
        call_of(
            plain(),
            provider="aws.bedrock",
            requested_model="us.anthropic.claude-opus-5",
            model="claude-opus-5",
        ),
        "0.00825",
    ),
    "bedrock, by an arn": (
        call_of(plain(), provider="aws.bedrock", requested_model="arn:aws:bedrock:x", model="claude-opus-5"),
        "unknown_model",
    ),
    "claude on aws": (call_of(plain(), provider="aws.claude"), "unknown_model"),
    "unknown model": (call_of(plain(), requested_model="claude-tomorrow-9"), "unknown_model"),
    "no model": (call_of(plain(), requested_model=None), "unknown_model"),
    "left half-way": (call_of(plain(), status="aborted"), "usage_incomplete"),
    "only a part arrived": (call_of({"input_tokens": 5}, status="aborted"), "usage_incomplete"),
    "failed": (call_of(None, status="error"), "no_usage"),
    "counts that are none": (call_of({"input_tokens": -1, "output_tokens": "x"}), "no_usage"),
    "counts beside the block": (
        call_of(plain(cache_creation_input_tokens=37), beside={"cache_write_5m_tokens": 4}),
        "usage_inconsistent",
    ),
    "tools beside the block": (
        call_of(plain(server_tool_use={"web_search_requests": 0}), beside={"server_tool_requests": 5}),
        "0.0045",
    ),
    "tools without a block": (
        call_of(
            None,
            beside={"input_tokens": 1, "output_tokens": 1, "server_tool_requests": 5},
            requested_model=SONNET,
        ),
        "server_tool_unpriced",
    ),
}


_counts = st.none() | st.integers(0, 5) | st.integers(0, 300_000)
_odd = st.sampled_from([-1, True, 1.5, "7", 2**60, [], {}])
_any_count = st.one_of(_counts, _counts, _counts, _odd)
_lifetimes = st.dictionaries(st.sampled_from([*_SPLIT, "ephemeral_1d_input_tokens"]), _any_count, max_size=3)
_iterations = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["message", "message", "compaction", "advisor_message", "dream", 3])},
        optional={
            "input_tokens": _any_count,
            "output_tokens": _any_count,
            "cache_read_input_tokens": _any_count,
            "cache_creation_input_tokens": _any_count,
            "cache_creation": _lifetimes | _odd,
            "model": st.sampled_from([OPUS, SONNET, "?", None, 4]),
        },
    ),
    max_size=3,
)
usage_blocks = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": _any_count,
        "output_tokens": _any_count,
        "cache_read_input_tokens": _any_count,
        "cache_creation_input_tokens": _any_count,
        "cache_creation": _lifetimes | _odd,
        "output_tokens_details": st.dictionaries(st.just("thinking_tokens"), _any_count),
        "server_tool_use": st.dictionaries(
            st.sampled_from(["web_search_requests", "web_fetch_requests", "code_execution_requests"]),
            _any_count,
        )
        | _odd,
        "service_tier": st.sampled_from([None, "", "standard", "batch", "priority", 7]),
        "speed": st.sampled_from([None, "standard", "fast", "\x00"]),
        "inference_geo": st.sampled_from([None, "", "global", "not_available", "us"]),
        "iterations": _iterations | _odd,
        "fallback_credit": st.sampled_from([None, {"status": "redeemed"}]),
        "a member of tomorrow": st.sampled_from([None, "x\x00\ud800", float("nan"), 2**2000]),
    },
)
calls = st.builds(
    call_of,
    st.none() | usage_blocks,
    requested_model=st.sampled_from(
        [SONNET, OPUS, "claude-sonnet-5", "us.anthropic.claude-opus-5", "?", "", None]
    ),
    model=st.sampled_from([SONNET, OPUS, "claude-opus-5", "", None]),
    provider=st.sampled_from(["anthropic", "anthropic", "aws.bedrock", "gcp.vertex_ai", "aws.claude"]),
    region=st.sampled_from([None, "global", "us-east5"]),
    status=st.sampled_from(["success", "success", "success", "aborted", "error"]),
    action=st.sampled_from(["messages.create", "messages.batches.result"]),
    beside=st.just({})
    | st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "cache_write_5m_tokens", "server_tool_requests"]),
        st.integers(0, 2**62),
    ),
)


def entry_of(call: Call, overrides: Path | None = None) -> AuditEntry:
    """The entry that the producer makes of a call, over the wire and back."""
    builder = _builder(overrides)
    return _CODEC.decode(_CODEC.encode(builder.build(call, PRODUCER, 0)))


def _builder(overrides: Path | None, _made: dict[Path | None, Any] = {}) -> Any:  # noqa: B006 - a cache
    if overrides not in _made:
        _made[overrides] = entry_builder(ProducerSettings.from_environment({}, price_overrides=overrides))
    return _made[overrides]


def stored(entry: AuditEntry) -> StoredCall:
    """The row of an entry, as a reader of ``jsonb`` gets it."""
    details = json.loads(json.dumps(dict(entry.details or {})))
    columns = {
        each.name: getattr(entry, each.name)
        for each in fields(StoredCall)
        if each.name not in {"raw_usage", "region"}
    }
    return StoredCall(**columns, raw_usage=details.get("raw_usage"), region=details.get("region"))
