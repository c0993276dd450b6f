"""What a stored call costs by a price table of today: its row's facts, read back as the price depends on them.

Every fact that a price goes by is in the row, so the same table gives the same cost or the same reason again. There is
one exception, which has a reason of its own: a usage block that was too large to keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from llm_audit_producer.call import Tokens
from llm_audit_producer.messages_api import read_usage
from llm_audit_producer.pricing import reasons
from llm_audit_producer.pricing.source import Priced, PriceSource, billed_model
from llm_audit_producer.pricing.usage import usage_of

_DROPPED = "llm_audit_dropped_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """One row of the audit log, as far as its price goes by it; meanings are the contract's.

    Attributes:
        raw_usage: ``details.raw_usage``: the usage block, where it says more than the columns.
        region: ``details.region``: region of the platform's endpoint.
    """

    timestamp: datetime
    provider: str
    status: str
    requested_model: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    server_tool_requests: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    cost_usd: Decimal | None = None
    cost_reason: str | None = None
    price_source: str | None = None
    raw_usage: Mapping[str, object] | None = None
    region: str | None = None


def recompute(source: PriceSource, call: StoredCall) -> Priced:
    """What ``source`` says of a stored call, at the rates of the call's own time."""
    raw = call.raw_usage
    if raw is not None and _DROPPED in raw:
        return Priced(cost_reason=reasons.USAGE_NOT_KEPT)
    tokens = Tokens(
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        cache_read_tokens=call.cache_read_tokens,
        cache_write_5m_tokens=call.cache_write_5m_tokens,
        cache_write_1h_tokens=call.cache_write_1h_tokens,
        server_tool_requests=call.server_tool_requests,
        # The one count without a column. Where the block is not kept, no server tool ran.
        web_search_requests=None if raw is None else read_usage(raw).web_search_requests,
        service_tier=call.service_tier,
        inference_geo=call.inference_geo,
        speed=call.speed,
    )
    usage = usage_of(tokens, raw, complete=call.status == "success")
    model = billed_model(call.provider, call.requested_model, call.model)
    return source.price(call.provider, model, call.timestamp, usage, region=call.region)
