"""``PatternSanitizer``: replaces personal data and secrets that have a form, such as ``[EMAIL]`` for an address.

It finds what can be told by its form and its check digits: no names, no postal addresses. Whoever needs those takes
:class:`~llm_audit_producer.sanitizing.presidio.PresidioSanitizer` or an own sanitizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_producer.sanitizing import Block, Sanitized
from llm_audit_producer.sanitizing.text_walk import change_texts

try:
    import phonenumbers

    from llm_audit_producer.sanitizing import finders
except ImportError as error:
    raise AuditSettingsError(
        f"PatternSanitizer needs the package {error.name}, which is not installed: "
        "pip install 'llm-audit-log[sanitize]'"
    ) from error

KINDS = ("api_key", "iban", "credit_card", "us_ssn", "email", "ip_address", "phone")
"""What can be found; where two overlap, the text is called by the kind that comes first here."""


class _Found(NamedTuple):
    """One stretch of a text to replace, and every kind that was found in it, the one that names it first."""

    start: int
    end: int
    kinds: tuple[str, ...]


class PatternSanitizer:
    """Redacts what has a form: keys, account and card numbers, addresses, phone numbers.

    The time it takes grows with the length of the texts and not faster. Safe to use from many threads.

    Args:
        kinds: What to look for, of ``KINDS``; everything when not given.
        block: Kinds that stop the call instead of being replaced; they need not be in ``kinds``. Where what is found
            overlaps with something else, either of them stops it.
        phone_region: Where national phone numbers are from (ISO 3166); ``None`` finds only those that begin with ``+``.

    Raises:
        AuditSettingsError: an unknown kind or region, or no kind at all.
    """

    def __init__(
        self,
        kinds: Iterable[str] | None = None,
        *,
        block: Collection[str] = (),
        phone_region: str | None = "US",
    ) -> None:
        wanted = {*(KINDS if kinds is None else _listed(kinds, "kinds")), *_listed(block, "block")}
        if not wanted:
            raise AuditSettingsError(
                "PatternSanitizer got no kind to look for; leave out kinds for all of them"
            )
        if phone_region is not None and phone_region not in phonenumbers.SUPPORTED_REGIONS:
            raise AuditSettingsError(
                f"phone_region={phone_region!r} is no ISO 3166 region, such as 'US' or 'DE'"
            )
        self._block = frozenset(_listed(block, "block"))
        available = {**finders.FINDERS, "phone": finders.phones(phone_region)}
        self._finders = {kind: available[kind] for kind in KINDS if kind in wanted}

    def __call__(self, body: Mapping[str, Any]) -> Sanitized:
        """The body with everything found replaced.

        Raises:
            Block: something was found that stops the call; its events count what that text has.
        """
        return change_texts(body, self.redact)

    def redact(self, text: str) -> tuple[str, dict[str, int]]:
        """One text with everything found replaced, and what was found, as kind to count.

        Raises:
            Block: something was found that stops the call.
        """
        found = self._find(text)
        events = dict(Counter(each.kinds[0] for each in found))
        stopping = sorted(self._block.intersection(kind for each in found for kind in each.kinds))
        if stopping:
            raise Block(f"{', '.join(stopping)} found", events)
        pieces: list[str] = []
        end = 0
        for each in found:
            pieces += [text[end : each.start], f"[{each.kinds[0].upper()}]"]
            end = each.end
        return "".join([*pieces, text[end:]]) if found else text, events

    def _find(self, text: str) -> list[_Found]:
        """What to replace, from left to right; what overlaps is one."""
        spans = sorted(
            (start, end, rank)
            for rank, find in enumerate(self._finders.values())
            for start, end in find(text)
        )
        kinds = list(self._finders)
        found: list[_Found] = []
        for start, end, rank in spans:
            last = found[-1] if found else None
            if last is None or start >= last.end:
                found.append(_Found(start, end, (kinds[rank],)))
            else:
                both = sorted({*last.kinds, kinds[rank]}, key=KINDS.index)
                found[-1] = _Found(last.start, max(end, last.end), tuple(both))
        return found


def _listed(kinds: Iterable[str], name: str) -> list[str]:
    """The kinds, if they are some."""
    listed = [kinds] if isinstance(kinds, str) else list(kinds)
    for each in listed:
        if each not in KINDS:
            raise AuditSettingsError(f"{name} names {each!r}, which is none of {', '.join(KINDS)}")
    return listed
