"""Negotiated prices: rates of one's own that go before the list prices.

A TOML or JSON file, or a mapping, of this form. Rates are US dollars per million tokens, ``web_search`` per
thousand searches; write them as text or whole numbers in JSON mappings, plainly in TOML::

    [providers.anthropic."claude-sonnet-4-5-20250929"]     # this name exactly
    input = "2.40"
    output = "12"
    cache_read = "0.24"
    cache_write_5m = "3"
    cache_write_1h = "4.80"
    web_search = "10"

    [providers.anthropic."claude-opus-4*"]                 # every name that starts so
    input = "4"
    output = "20"

    [providers.anthropic."claude-opus-4*".batch]           # the same in message batches; also `fast`
    input = "2"
    output = "10"

    [providers.anthropic."claude-opus-4*".long_context]    # all tokens of a call whose prompt is longer
    above_input_tokens = 200000
    input = "8"
    output = "30"

An exact name goes before a pattern, a longer pattern before a shorter one. For a model named here nothing is taken
from the list: a rate that is missing is unknown, and a call that needs it has no cost. Models not named here go to
the fallback.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_producer.pricing import reasons
from llm_audit_producer.pricing.rates import RATE_NAMES, Rates, RateTable
from llm_audit_producer.pricing.source import NoPrices, Priced, PriceSource, price_usage
from llm_audit_producer.pricing.usage import Usage

_MODES = {(): "standard", (("processing", "batch"),): "batch", (("speed", "fast"),): "fast"}
"""Conditions (see ``Usage.conditions``) that can be overridden, and the name of their rates."""

_LONG_CONTEXT = "long_context"
_THRESHOLD = "above_input_tokens"
_DECIMALS = {"web_search": 9}
"""Decimal places a rate may have so that costs stay exact at the contract's twelve: 12 less its unit's zeros."""

ModelRates = dict[str, RateTable]
"""Rates of one model by mode: ``standard``, ``batch``, ``fast``."""


class PriceOverrides:
    """Negotiated rates, with another source behind them for every model they do not name.

    Args:
        content: The mapping described above.
        name: What the rates are called in ``price_source``, with a digest of ``content`` after it.
        fallback: Asked for all other models.

    Raises:
        AuditSettingsError: the content has another form; the message names the place, the value and the mend.
    """

    def __init__(
        self, content: Mapping[str, object], *, name: str = "overrides", fallback: PriceSource | None = None
    ) -> None:
        providers = _table(content.get("providers"), name, "providers")
        _refuse_others(content, {"providers"}, name)
        self._fallback = NoPrices() if fallback is None else fallback
        self._exact: dict[tuple[str, str], ModelRates] = {}
        self._prefixes: dict[str, list[tuple[str, ModelRates]]] = {}
        for provider, models in providers.items():
            for pattern, rates in _table(models, name, f"providers.{provider}").items():
                self._add(
                    provider, pattern, _model_rates(rates, f"{name}: providers.{provider}.{pattern!r}"), name
                )
        for patterns in self._prefixes.values():
            patterns.sort(key=lambda entry: len(entry[0]), reverse=True)
        text = json.dumps(content, sort_keys=True, default=str)
        self._name = _versioned(name, text.encode())

    @classmethod
    def from_file(cls, path: Path | str, *, fallback: PriceSource | None = None) -> PriceOverrides:
        """The overrides in a ``.toml`` or ``.json`` file; ``price_source`` names the file and its SHA-256.

        Raises:
            AuditSettingsError: the file cannot be read, or its content has another form.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
            text = data.decode("utf-8")
            if path.suffix == ".json":
                content = json.loads(text, parse_float=Decimal, object_pairs_hook=_without_repeats)
            else:
                content = tomllib.loads(text, parse_float=Decimal)
        except OSError as error:
            raise AuditSettingsError(
                f"the price overrides {path} cannot be read: {error.strerror}; check the path and its permissions"
            ) from error
        except ValueError as error:
            raise AuditSettingsError(
                f"the price overrides {path} are not readable as {path.suffix or 'TOML'}: {error}"
            ) from error
        overrides = cls(_table(content, str(path), "the file"), name=path.name, fallback=fallback)
        overrides._name = _versioned(path.name, data)
        return overrides

    def price(
        self, provider: str, model: str | None, at: datetime, usage: Usage, *, region: str | None = None
    ) -> Priced:
        """The price of one call; see :meth:`~llm_audit_producer.pricing.source.PriceSource.price`."""
        if model is None or self._find(provider, model) is None:
            return self._fallback.price(provider, model, at, usage, region=region)
        mode = _MODES.get(usage.conditions)
        unknown = reasons.of_conditions(usage.conditions) if usage.conditions else reasons.RATE_UNKNOWN

        def rates_of(name: str) -> RateTable | str:
            rates = self._find(provider, name)
            if rates is None:
                return reasons.UNKNOWN_MODEL
            return unknown if mode is None else rates.get(mode, unknown)

        return price_usage(usage, model, rates_of, self._name)

    def _find(self, provider: str, model: str) -> ModelRates | None:
        found = self._exact.get((provider, model))
        if found is None:
            for prefix, rates in self._prefixes.get(provider, ()):
                if model.startswith(prefix):
                    return rates
        return found

    def _add(self, provider: str, pattern: str, rates: ModelRates, name: str) -> None:
        prefix, star, rest = pattern.partition("*")
        if rest:
            raise AuditSettingsError(
                f"{name}: the model pattern {pattern!r} has a '*' before its end; only 'prefix*' is understood"
            )
        if star:
            self._prefixes.setdefault(provider, []).append((prefix, rates))
        else:
            self._exact[provider, pattern] = rates


def _versioned(name: str, data: bytes) -> str:
    return f"overrides:{name}@sha256:{hashlib.sha256(data).hexdigest()[:12]}"


def _model_rates(content: object, place: str) -> ModelRates:
    table = _table(content, place, "the model")
    modes = {mode for mode in _MODES.values() if mode != "standard"}
    _refuse_others(table, {*RATE_NAMES, *modes, _LONG_CONTEXT}, place)
    own = {name: value for name, value in table.items() if name not in modes}
    rates = {"standard": _rate_table(own, "standard", place)}
    for mode in sorted(modes & table.keys()):
        rates[mode] = _rate_table(_table(table[mode], place, mode), mode, f"{place}.{mode}")
    return rates


def _rate_table(content: Mapping[str, object], tier: str, place: str) -> RateTable:
    _refuse_others(content, {*RATE_NAMES, _LONG_CONTEXT}, place)
    own = {name: value for name, value in content.items() if name != _LONG_CONTEXT}
    if not own:
        raise AuditSettingsError(f"{place} has no rate; give some of {', '.join(RATE_NAMES)}")
    base = _rates(own, tier, place)
    if _LONG_CONTEXT not in content:
        return RateTable(base)
    long = dict(_table(content[_LONG_CONTEXT], place, _LONG_CONTEXT))
    threshold = long.pop(_THRESHOLD, None)
    if type(threshold) is not int or threshold <= 0:
        raise AuditSettingsError(
            f"{place}.{_LONG_CONTEXT}.{_THRESHOLD} is {threshold!r}; give the number of tokens, such as 200000"
        )
    place = f"{place}.{_LONG_CONTEXT}"
    _refuse_others(long, {*RATE_NAMES}, place)
    return RateTable(base, ((threshold, _rates(long, f"{tier}_above_{threshold}", place)),))


def _rates(content: Mapping[str, object], tier: str, place: str) -> Rates:
    return Rates(tier=tier, **{name: _rate(value, name, place) for name, value in content.items()})


def _rate(value: object, name: str, place: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise AuditSettingsError(
            f'{place}.{name} is {value!r}, a {type(value).__name__}; write an exact number as text, such as "2.40"'
        )
    try:
        rate = Decimal(value)
    except InvalidOperation as error:
        raise AuditSettingsError(
            f'{place}.{name} is {value!r}, which is not a number; write it as "2.40"'
        ) from error
    if not rate.is_finite() or rate < 0:
        raise AuditSettingsError(
            f"{place}.{name} is {value!r}; a rate is a finite number of US dollars, 0 or more"
        )
    places = _DECIMALS.get(name, 6)
    if rate.adjusted() > 8 or rate != round(rate, places):
        raise AuditSettingsError(
            f"{place}.{name} is {value!r}; a rate has at most {places} decimal places and is below a thousand million"
        )
    return rate


def _table(value: object, name: str, place: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise AuditSettingsError(
            f"{name}: {place} is a {type(value).__name__}, not a table; the form is "
            '[providers.anthropic."MODEL"] with rates below'
        )
    return value


def _refuse_others(content: Mapping[str, object], known: set[str], place: str) -> None:
    others = sorted(str(name) for name in content.keys() - known)
    if others:
        raise AuditSettingsError(
            f"{place}: {', '.join(others)} is not known here; use {', '.join(sorted(known))}"
        )


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(
            f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one object"
        )
    return content
