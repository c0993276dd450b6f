"""Every error of the consumer and its commands. A class's docstring says what its instances mean."""

from __future__ import annotations


class AuditConsumerError(Exception):
    """Something the operator must know; its message says what, and its ``hint`` how to mend it.

    Attributes:
        hint: The mend, in one sentence.
        exit_code: What the command exits with when this ends it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigurationError(AuditConsumerError):
    """A flag or environment variable has a value that cannot be used."""

    exit_code = 2


class DatabaseUnavailableError(AuditConsumerError):
    """PostgreSQL does not answer, or refuses the connection."""

    exit_code = 3


class RetryableStoreError(DatabaseUnavailableError):
    """A batch was rolled back for a cause that passes: a lost connection, a timeout, a full disk, a deadlock."""


class UnstorableRowError(AuditConsumerError):
    """PostgreSQL refuses a value in the batch; it was rolled back, and one of its rows is the cause."""


class BrokerUnavailableError(AuditConsumerError):
    """Kafka does not answer, or refuses the connection."""

    exit_code = 4


class SchemaMismatchError(AuditConsumerError):
    """The database's tables are not what the migrations make: not migrated, or altered by someone."""

    exit_code = 5


class OffsetConflictError(AuditConsumerError):
    """Another consumer has advanced a partition this one believed it owned: the batch was rolled back."""

    exit_code = 6


class TopicMismatchError(AuditConsumerError):
    """A topic is missing, or is not as the trail's promises need it."""

    exit_code = 7
