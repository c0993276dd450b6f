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


class DatabaseBusyError(RetryableStoreError):
    """Somebody else's lock was in the way for longer than this may wait; what was begun is rolled back."""


class UnstorableRowError(AuditConsumerError):
    """PostgreSQL refuses a value in the batch; it was rolled back, and one of its rows is the cause."""


class DuplicateRowError(UnstorableRowError):
    """A row of the batch is in the table already, or twice in the batch; it was rolled back."""


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


class RetentionIncompleteError(AuditConsumerError):
    """Retention has not done all there was to do: another run is at work, or a long query held a month up."""

    exit_code = 8


class DeadLetterMissingError(AuditConsumerError):
    """There is no dead letter at the place that was named."""


class DeadLettersRemainError(AuditConsumerError):
    """Messages were decoded again, and some of them still cannot become rows."""

    exit_code = 11


class ContentUnreadableError(AuditConsumerError):
    """Stored content cannot be opened: a key is missing or does not fit, or the row is not what was written."""

    exit_code = 9


class NothingFoundError(AuditConsumerError):
    """What was asked for is not in the trail."""

    exit_code = 10


class LegalHoldError(AuditConsumerError):
    """What is to be erased is under a legal hold; nothing was done."""

    exit_code = 12
