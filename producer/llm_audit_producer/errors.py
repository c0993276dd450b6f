"""Every error the producer can raise. A class's docstring says what its instances mean."""

from __future__ import annotations


class AuditError(Exception):
    """Something about auditing itself. A service sees one only where it asked to be told."""


class AuditSettingsError(AuditError, ValueError):
    """A setting, given by argument or environment variable, has a value that cannot be used."""


class UserRequiredError(AuditError):
    """Nobody said who is asking, and this producer was told to refuse such calls. Nothing was sent."""


class SinkError(AuditError):
    """A sink could not take an entry.

    Attributes:
        reason: A short stable word for counters, such as ``too_large``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
