"""``AuditedClient``: a client whose every call is one user's. A thin door to the middleware."""

from __future__ import annotations

from typing import Any

from anthropic import Anthropic

from llm_audit_producer.anthropic_sdk.middleware import Audit
from llm_audit_producer.audit_logger import AuditLogger


class AuditedClient:
    """Calls models on behalf of one user, and records each call.

    Args:
        user_id: Who is asking.
        audit_logger: Records the calls.
        client: The SDK client to call through; ``Anthropic()`` when not given.
    """

    def __init__(self, user_id: object, audit_logger: AuditLogger, client: Anthropic | None = None) -> None:
        self._audit = Audit(audit_logger).on_behalf_of(user_id)
        self.client = (client if client is not None else Anthropic()).with_middleware(self._audit)

    def messages_create(self, **arguments: Any) -> Any:
        """``messages.create`` with the SDK's own arguments, result and exceptions.

        The result carries the entry's id as ``audit_request_id``; after an exception it is the logger's
        ``last_request_id``.
        """
        message = self.client.messages.create(**arguments)
        # Past the model's own __setattr__, which would make it a field that travels with the message.
        object.__setattr__(message, "audit_request_id", self._audit.logger.last_request_id)
        return message
