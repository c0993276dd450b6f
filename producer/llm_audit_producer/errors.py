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


class AuditUnavailable(AuditError):  # noqa: N818 - a state of the trail, named as in the design
    """A call's entry could be neither spooled nor delivered in time, and this producer is strict: no result is given.

    The call itself was made, and is billed; whether its entry still arrives later is not known.

    Attributes:
        request_id: The entry's id.
    """

    def __init__(self, request_id: str, why: str) -> None:
        super().__init__(f"the audit trail did not take entry {request_id}, and delivery is strict: {why}")
        self.request_id = request_id


class SinkError(AuditError):
    """A sink could not take an entry.

    Attributes:
        reason: A short stable word for counters, such as ``too_large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TrailUnreadableError(AuditError):
    """Stored entries could not be read back.

    Attributes:
        reason: ``away``, ``not_migrated``, ``not_allowed`` or ``bad_question``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
