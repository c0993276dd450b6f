"""Every error the producer can raise. A class's docstring says what its instances mean."""

from __future__ import annotations


class AuditError(Exception):
    """Something about auditing itself. A service sees one only where it asked to be told."""


class AuditSettingsError(AuditError, ValueError):
    """A setting, given by argument or environment variable, has a value that cannot be used."""


class UserRequiredError(AuditError):
    """Nobody said who is asking, and this producer was told to refuse such calls. Nothing was sent."""


class AuditBlocked(AuditError):  # noqa: N818 - a verdict, not a fault of anything
    """The sanitizer stopped a call, or failed and fails closed. Nothing was sent; the call is on record as blocked.

    Attributes:
        reason: Why, in the sanitizer's words.
        request_id: The entry's id; ``None`` where the call is of a kind that leaves no entry.
    """

    def __init__(self, reason: str, request_id: str | None) -> None:
        super().__init__(f"the call was stopped before sending: {reason}")
        self.reason = reason
        self.request_id = request_id


class SinkError(AuditError):
    """A sink could not take an entry.

    Attributes:
        reason: A short stable word for counters, such as ``too_large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
