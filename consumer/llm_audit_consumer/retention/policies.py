"""Retention policies: what each retention class keeps, and how long. Pure, but for reading a file.

A row names its class (``retention_class``), and the policy of that name holds for it. A class without a policy is
never touched by retention, and none of its content is stored: a slip in a name must neither delete nor disclose.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.retention.periods import Period, period

GROUPS = ("metadata", "hashes", "errors", "content")
"""What has a period of its own; ``metadata`` is the row itself."""

_SWITCHES = ("needs_justification", "content_is_final")
_REFERENCE = datetime(2000, 3, 1, tzinfo=UTC)
_HINT = "see the policies.toml that comes with the package: every key is explained there"


@dataclass(frozen=True, slots=True)
class Policy:
    """What one retention class keeps.

    Attributes:
        name: The class.
        periods: Group to period; a group is missing where the operator has yet to state it.
        justifications: Group to the operator's reason, where one was given.
        needs_justification: Every period must come with a reason.
        content_is_final: No file may allow content for this class.
    """

    name: str
    periods: Mapping[str, Period]
    justifications: Mapping[str, str]
    needs_justification: bool = False
    content_is_final: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The groups whose period, or whose justification, has yet to be stated."""
        return tuple(
            group
            for group in GROUPS
            if group not in self.periods or (self.needs_justification and not self.justifications.get(group))
        )

    @property
    def content_allowed(self) -> bool:
        """Whether content of this class may be stored at all."""
        return "content" not in self.missing and not self.periods["content"].nothing

    def before(self, group: str, moment: datetime) -> datetime | None:
        """What is older has expired at ``moment``; ``None``: nothing ever does."""
        return self.periods[group].before(moment)

    def described(self) -> dict[str, object]:
        """As the record of an action keeps it."""
        return {
            "name": self.name,
            **{group: str(self.periods[group]) for group in GROUPS if group in self.periods},
            **({"justifications": dict(self.justifications)} if self.justifications else {}),
        }


Policies = Mapping[str, Policy]
"""Retention class to policy."""


@cache
def shipped() -> Policies:
    """The policies that come with the package."""
    text = resources.files(__package__).joinpath("policies.toml").read_text(encoding="utf-8")
    return _policies(tomllib.loads(text)["policies"], "policies.toml", {})


def load(path: Path | None) -> Policies:
    """The shipped policies with the operator's file laid over them.

    Raises:
        ConfigurationError: the file cannot be read, or says something that cannot be.
    """
    if path is None:
        return shipped()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"the policy file {path} cannot be read: {error}", _HINT) from error
    unknown = set(document) - {"policies"}
    if unknown or not isinstance(document.get("policies"), dict):
        named = f"holds {', '.join(sorted(unknown))}" if unknown else "holds no [policies.NAME]"
        raise ConfigurationError(f"the policy file {path} {named}", _HINT)
    return _policies(document["policies"], str(path), shipped())


def content_allowed(retention_class: str, policies: Policies | None = None) -> bool:
    """Whether content of this class may be stored: not under ``hipaa``, nor where no policy states a period for it.

    Args:
        retention_class: The entry's.
        policies: Those in force; the shipped ones when ``None``.
    """
    policy = (shipped() if policies is None else policies).get(retention_class)
    return policy is not None and policy.content_allowed


def _policies(written: Mapping[str, Any], source: str, base: Policies) -> Policies:
    merged = dict(base)
    for name, keys in written.items():
        if not isinstance(keys, dict):
            raise _unusable(source, name, "is no table")
        merged[name] = _policy(name, keys, source, base.get(name))
    return merged


def _policy(name: str, keys: Mapping[str, Any], source: str, base: Policy | None) -> Policy:
    unknown = set(keys) - {*GROUPS, *_SWITCHES}
    if unknown:
        raise _unusable(source, name, f"holds {', '.join(sorted(unknown))}, which means nothing")
    periods = dict(base.periods) if base else {}
    justifications = dict(base.justifications) if base else {}
    for group in GROUPS:
        if group in keys:
            periods[group], reason = _stated(keys[group], source, f"{name}.{group}")
            justifications.pop(group, None)
            if reason:
                justifications[group] = reason
    for switch in _SWITCHES:
        if not isinstance(keys.get(switch, False), bool):
            raise _unusable(source, f"{name}.{switch}", "must be true or false")
    policy = Policy(
        name,
        periods,
        justifications,
        # What a shipped policy insists on, a file cannot take back.
        needs_justification=keys.get("needs_justification", False) or bool(base and base.needs_justification),
        content_is_final=keys.get("content_is_final", False) or bool(base and base.content_is_final),
    )
    _check(policy, source, base)
    return policy


def _stated(value: Any, source: str, where: str) -> tuple[Period, str]:
    """A period, and the reason where one is given."""
    reason: Any = ""
    if isinstance(value, dict):
        if not set(value) <= {"period", "justification"}:
            raise _unusable(source, where, "may hold period and justification")
        value, reason = value.get("period"), value.get("justification", "")
    if not isinstance(value, str) or not isinstance(reason, str):
        raise _unusable(source, where, 'must be a text such as "2 years"')
    try:
        return period(value), reason.strip()
    except ValueError as error:
        raise _unusable(source, where, str(error)) from error


def _check(policy: Policy, source: str, base: Policy | None) -> None:
    periods = policy.periods
    for group, kept in periods.items():
        if kept.nothing and group != "content":
            raise _unusable(
                source, f"{policy.name}.{group}", 'cannot be "never": only content can be left out'
            )
        if "metadata" in periods and _is_longer(kept, periods["metadata"]):
            raise _unusable(
                source,
                f"{policy.name}.{group}",
                f"is kept for {kept}, longer than the row that it belongs to ({periods['metadata']})",
            )
    if base is not None and base.content_is_final and policy.content_allowed:
        raise _unusable(
            source,
            f"{policy.name}.content",
            'must stay "never": give entries with content a class of their own',
        )
    if not policy.needs_justification and policy.missing:
        raise _unusable(source, policy.name, f"states no period for {', '.join(policy.missing)}")


def _is_longer(one: Period, other: Period) -> bool:
    if other.endless or one.nothing:
        return False
    if one.endless:
        return True
    ends = one.before(_REFERENCE), other.before(_REFERENCE)
    return ends[0] is None or (ends[1] is not None and ends[0] < ends[1])


def _unusable(source: str, where: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"retention policies in {source}: {where} {what}", _HINT)
