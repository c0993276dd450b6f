"""What is sent of an entry that is larger than its topic takes."""

from __future__ import annotations

import logging
from dataclasses import replace

from llm_audit_schemas import AuditEntry

logger = logging.getLogger("llm_audit_producer")

TOO_LARGE_REDUCED = "it is too large even without metadata and details; raise the topic's max.message.bytes"


def warn_reduced(entry: AuditEntry) -> None:
    """Say that an entry loses its largest parts."""
    logger.warning(
        "llm-audit: audit entry %s is larger than the topic takes; sending it without metadata and details "
        "(raise the topic's max.message.bytes to keep them)",
        entry.request_id,
    )


def reduced(entry: AuditEntry) -> AuditEntry:
    """The entry without what a service or a provider could make large, saying so."""
    return replace(entry, metadata=None, details={"truncated": ["metadata", "details"]}, truncated=True)
