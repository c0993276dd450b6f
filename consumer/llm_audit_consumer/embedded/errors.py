"""What can go wrong with an embedded server. Every message names the thing, the value and the mend."""

from llm_audit_consumer.errors import AuditConsumerError


class EmbeddedError(AuditConsumerError):
    """An embedded server could not be provided."""


class EmbeddedMissingError(EmbeddedError):
    """A program an embedded server is made of is not on this machine and could not be fetched."""


class EmbeddedStartError(EmbeddedError):
    """An embedded server was started and did not become ready; the message ends with its log's tail."""
