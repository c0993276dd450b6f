"""Why a call has no price: every word that ``cost_reason`` can hold, in one place.

A cost is exact or absent, never a guess; these words say which fact was missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NO_USAGE: Final = "no_usage"
USAGE_INCOMPLETE: Final = "usage_incomplete"
USAGE_INCONSISTENT: Final = "usage_inconsistent"
CACHE_LIFETIME_UNKNOWN: Final = "cache_lifetime_unknown"
NO_PRICE_SOURCE: Final = "no_price_source"
PRICE_SOURCE_FAILED: Final = "price_source_failed"
UNKNOWN_MODEL: Final = "unknown_model"
RATE_UNKNOWN: Final = "rate_unknown"
RATES_UNSUPPORTED: Final = "rates_unsupported"
BATCH_UNPRICED: Final = "batch_unpriced"
FAST_MODE_UNPRICED: Final = "fast_mode_unpriced"
INFERENCE_GEO_UNPRICED: Final = "inference_geo_unpriced"
SERVICE_TIER_UNPRICED: Final = "service_tier_unpriced"
REGION_UNPRICED: Final = "region_unpriced"
SERVER_TOOL_UNPRICED: Final = "server_tool_unpriced"
ADVISOR_UNPRICED: Final = "advisor_unpriced"
COMPACTION_UNPRICED: Final = "compaction_unpriced"
FALLBACK_UNPRICED: Final = "fallback_unpriced"
ITERATION_UNPRICED: Final = "iteration_unpriced"
USAGE_NOT_KEPT: Final = "usage_not_kept"

REASONS: Final[Mapping[str, str]] = {
    NO_USAGE: "The provider reported no usage: an error, a blocked call, or nothing arrived.",
    USAGE_INCOMPLETE: "Only a part of the usage arrived: one of input and output is missing, or a stream broke.",
    USAGE_INCONSISTENT: "The reported counts contradict each other, or one is negative or not a whole number.",
    CACHE_LIFETIME_UNKNOWN: "Cache writes were reported without their lifetime, and lifetimes differ in price.",
    NO_PRICE_SOURCE: "No price source is installed or configured.",
    PRICE_SOURCE_FAILED: "The price source itself failed; the log says how.",
    UNKNOWN_MODEL: "The price source does not know this model at this provider.",
    RATE_UNKNOWN: "The price source knows the model, but has no rate for something that was used.",
    RATES_UNSUPPORTED: "The model has rates by a unit that token counts cannot tell, such as audio or requests.",
    BATCH_UNPRICED: "A message batch, for which the price source has no rates at that date.",
    FAST_MODE_UNPRICED: "Another speed than standard, for which the price source has no rates.",
    INFERENCE_GEO_UNPRICED: "Inference bound to a geography, for which the price source has no rates.",
    SERVICE_TIER_UNPRICED: "Another service tier than standard or batch, for which the price source has no rates.",
    REGION_UNPRICED: "The platform's price depends on the region of its endpoint, which is not known or not listed.",
    SERVER_TOOL_UNPRICED: "A tool run by the provider, other than web search and fetch, whose price is not known.",
    ADVISOR_UNPRICED: "An advisor model was consulted, and its price is not known in this mode.",
    COMPACTION_UNPRICED: "The context was compacted on the way, and the price of that is not known in this mode.",
    FALLBACK_UNPRICED: "Another model took over, and what of the first one is billed is not known.",
    ITERATION_UNPRICED: "The call consisted of iterations of a new kind, or ones that could fall under two tiers.",
    USAGE_NOT_KEPT: "Only when a stored call is priced again: its usage block was too large to be kept in the row.",
}
"""Every reason word and its meaning."""

_BY_CONDITION: Final[Mapping[str, str]] = {
    "processing": BATCH_UNPRICED,
    "speed": FAST_MODE_UNPRICED,
    "inference_geo": INFERENCE_GEO_UNPRICED,
    "service_tier": SERVICE_TIER_UNPRICED,
}


def of_conditions(conditions: tuple[tuple[str, str], ...]) -> str:
    """The reason when a source has no rates under ``conditions`` (see ``Usage.conditions``): that of the first."""
    return _BY_CONDITION[conditions[0][0]]
