"""Redaction before sending: a sanitizer sees a request before it leaves, may rewrite it, and may stop it.

Any callable will do that takes the request's body and gives a :class:`Sanitized`; an ``async def`` too, for
asynchronous clients. What was redacted is reported by kind and count, never by content.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Sanitized:
    """What a sanitizer made of a request.

    Attributes:
        body: The body to send; the very one it was given where nothing is to change.
        events: Kind of redaction to how often it was made.
    """

    body: Mapping[str, Any]
    events: Mapping[str, int] = field(default_factory=dict)


class Block(Exception):  # noqa: N818 - a sanitizer says `raise Block(...)`: it is a verdict, not a fault
    """Raised by a sanitizer to stop a call: nothing is sent, and the reason is recorded.

    Args:
        reason: Why, without any content; it is stored and reaches the caller.
        events: What was found, as kind to count.
    """

    def __init__(self, reason: str, events: Mapping[str, int] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.events = dict(events or {})


class Sanitizer(Protocol):
    """Looks at a request's body before it is sent."""

    def __call__(self, body: Mapping[str, Any]) -> Sanitized | Awaitable[Sanitized]:
        """The body to send and what was redacted in it.

        Raises:
            Block: the call must not be made.
        """
        ...
