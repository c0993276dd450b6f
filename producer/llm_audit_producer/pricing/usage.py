"""What was used, as far as it matters for the price, in Anthropic's meaning of the counts.

``input_tokens`` excludes cache reads and writes; thinking is part of ``output_tokens``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from llm_audit_producer.pricing import reasons

_FREE_TOOLS = frozenset({"web_search_requests", "web_fetch_requests"})
"""Server tools that need no price here: fetches cost only their tokens, searches are counted by themselves.

Source: https://platform.claude.com/docs/en/about-claude/pricing, "Specific tool pricing".
"""

_KNOWN_LIFETIMES = frozenset({"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"})
_NO_GEOGRAPHY = frozenset({None, "", "global", "not_available"})
_STANDARD = frozenset({None, "", "standard"})


class ReportedTokens(Protocol):
    """Counts as a provider reported them; ``None`` where it did not."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_5m_tokens: int | None
    cache_write_1h_tokens: int | None
    server_tool_requests: int | None
    web_search_requests: int | None
    service_tier: str | None
    inference_geo: str | None
    speed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Counts that have a rate. ``None`` means not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    web_searches: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """Length of the prompt, cached parts included: what long-context rates go by."""
        return (
            (self.input_tokens or 0)
            + (self.cache_read_tokens or 0)
            + (self.cache_write_5m_tokens or 0)
            + (self.cache_write_1h_tokens or 0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Iteration(TokenCounts):
    """One sampling within a call: a turn of a server tool's loop, a compaction, an advisor's answer.

    Attributes:
        kind: ``message``, ``compaction`` or ``advisor_message``.
        model: Model that sampled, where it is not the call's own.
    """

    kind: str
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(TokenCounts):
    """One call's usage.

    Attributes:
        service_tier: As reported: ``standard``, ``batch``, ``priority`` ...
        inference_geo: As reported; ``global`` and ``not_available`` carry no surcharge.
        speed: As reported: ``standard`` or ``fast``.
        iterations: The samplings the call consisted of, where it was more than one. Advisor and compaction tokens
            are only here, never in the counts above.
        problem: Reason word why this usage cannot be priced whatever the rates are; ``None`` when it can.
    """

    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    iterations: tuple[Iteration, ...] = ()
    problem: str | None = None

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """What makes the call's rates differ from the standard ones, as name and value; mostly nothing."""
        found: list[tuple[str, str]] = []
        if self.service_tier == "batch":
            found.append(("processing", "batch"))
        elif self.service_tier not in _STANDARD:
            found.append(("service_tier", str(self.service_tier)))
        if self.speed not in _STANDARD:
            found.append(("speed", str(self.speed)))
        if self.inference_geo not in _NO_GEOGRAPHY:
            found.append(("inference_geo", str(self.inference_geo)))
        return tuple(found)

    @property
    def objection(self) -> str | None:
        """Reason word why no rates can price this usage, or ``None``."""
        if self.problem is not None:
            return self.problem
        if self.input_tokens is None or self.output_tokens is None:
            nothing = self.input_tokens is None and self.output_tokens is None
            return reasons.NO_USAGE if nothing else reasons.USAGE_INCOMPLETE
        return None if _whole(self) else reasons.USAGE_INCONSISTENT


def usage_of(
    tokens: ReportedTokens, raw: Mapping[str, object] | None = None, *, complete: bool = True
) -> Usage:
    """The usage to price, from the entry's counts and the provider's usage block.

    Args:
        tokens: The counts as they stand in the entry.
        raw: The usage block as reported, where there is one; says what the counts cannot, such as iterations.
        complete: False for a stream that broke or was left: what it had reported by then is not what is billed.
    """
    raw = raw or {}
    iterations, problem = _iterations(raw.get("iterations"))
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cache_read_tokens=tokens.cache_read_tokens,
        cache_write_5m_tokens=tokens.cache_write_5m_tokens,
        cache_write_1h_tokens=tokens.cache_write_1h_tokens,
        web_searches=tokens.web_search_requests,
        service_tier=tokens.service_tier,
        inference_geo=tokens.inference_geo,
        speed=tokens.speed,
        iterations=iterations,
        problem=_completeness(tokens, complete) or problem or _problem(tokens, raw),
    )


def _completeness(tokens: ReportedTokens, complete: bool) -> str | None:  # noqa: FBT001 - private, named at its caller
    if complete or (tokens.input_tokens is None and tokens.output_tokens is None):
        return None
    return reasons.USAGE_INCOMPLETE


def _problem(tokens: ReportedTokens, raw: Mapping[str, object]) -> str | None:
    """What the usage block says that the counts leave out, as far as it stands in the way of a price."""
    written = raw.get("cache_creation_input_tokens")
    if _other_lifetimes(raw.get("cache_creation")):
        return reasons.CACHE_LIFETIME_UNKNOWN
    if written:
        short, long = tokens.cache_write_5m_tokens, tokens.cache_write_1h_tokens
        if short is None and long is None:
            return reasons.CACHE_LIFETIME_UNKNOWN
        if (short or 0) + (long or 0) != written:
            return reasons.USAGE_INCONSISTENT
    tools = raw.get("server_tool_use")
    if isinstance(tools, Mapping):
        if any(count for name, count in tools.items() if name not in _FREE_TOOLS):
            return reasons.SERVER_TOOL_UNPRICED
    elif tokens.server_tool_requests and tokens.web_search_requests is None:
        return reasons.SERVER_TOOL_UNPRICED
    credit = raw.get("fallback_credit")
    return None if credit is None else reasons.FALLBACK_UNPRICED


def _other_lifetimes(split: object) -> bool:
    """Whether cache writes were reported under a lifetime that no rate is known for."""
    return isinstance(split, Mapping) and any(
        count for name, count in split.items() if name not in _KNOWN_LIFETIMES
    )


_PROBLEM_OF_KIND = {
    "message": None,
    "compaction": None,
    "advisor_message": None,
    "fallback_message": reasons.FALLBACK_UNPRICED,
}


def _iterations(raw: object) -> tuple[tuple[Iteration, ...], str | None]:
    """The iterations of a usage block, and a reason word where one of them cannot be priced."""
    if not raw:
        return (), None
    if not isinstance(raw, list | tuple):
        return (), reasons.USAGE_INCONSISTENT
    found: list[Iteration] = []
    for item in raw:
        if not isinstance(item, Mapping):
            return (), reasons.USAGE_INCONSISTENT
        kind = item.get("type")
        problem = _PROBLEM_OF_KIND.get(kind, reasons.ITERATION_UNPRICED) if isinstance(kind, str) else None
        if problem is not None or not isinstance(kind, str):
            return (), problem or reasons.ITERATION_UNPRICED
        iteration = _iteration(kind, item)
        if isinstance(iteration, str):
            return (), iteration
        found.append(iteration)
    plain = len(found) == 1 and found[0].kind == "message"
    return (() if plain else tuple(found)), None


def _iteration(kind: str, item: Mapping[object, object]) -> Iteration | str:
    written = item.get("cache_creation_input_tokens") or 0
    split = item.get("cache_creation")
    lifetimes = split if isinstance(split, Mapping) else {}
    short = lifetimes.get("ephemeral_5m_input_tokens") or 0
    long = lifetimes.get("ephemeral_1h_input_tokens") or 0
    if (written and not lifetimes) or _other_lifetimes(lifetimes):
        return reasons.CACHE_LIFETIME_UNKNOWN
    model = item.get("model")
    iteration = Iteration(
        kind=kind,
        model=model if isinstance(model, str) else None,
        input_tokens=item.get("input_tokens"),  # type: ignore[arg-type]  # whatever it is, _whole judges it
        output_tokens=item.get("output_tokens"),  # type: ignore[arg-type]  # the same
        cache_read_tokens=item.get("cache_read_input_tokens"),  # type: ignore[arg-type]  # the same
        cache_write_5m_tokens=short,
        cache_write_1h_tokens=long,
    )
    known = iteration.input_tokens is not None and iteration.output_tokens is not None
    consistent = known and _whole(iteration) and short + long == written
    return iteration if consistent else reasons.USAGE_INCONSISTENT


def _whole(counts: TokenCounts) -> bool:
    """Whether every count is a whole number, not negative."""
    for count in (
        counts.input_tokens,
        counts.output_tokens,
        counts.cache_read_tokens,
        counts.cache_write_5m_tokens,
        counts.cache_write_1h_tokens,
        counts.web_searches,
    ):
        if count is not None and (type(count) is not int or count < 0):
            return False
    return True
