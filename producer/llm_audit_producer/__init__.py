"""The producer: captures LLM calls and publishes one audit entry for each.

The one line a service adds::

    audit = Audit(service="support-bot")
    client = Anthropic().with_middleware(audit)

``import llm_audit_producer`` loads nothing but the standard library: each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_audit_producer.anthropic_sdk.audited_client import AuditedClient
    from llm_audit_producer.anthropic_sdk.middleware import Audit
    from llm_audit_producer.audit_logger import AuditLogger
    from llm_audit_producer.context import carry
    from llm_audit_producer.errors import (
        AuditBlocked,
        AuditError,
        AuditSettingsError,
        AuditUnavailable,
        UserRequiredError,
    )
    from llm_audit_producer.sanitizing import Block, Sanitized
    from llm_audit_producer.sanitizing.patterns import PatternSanitizer
    from llm_audit_producer.sanitizing.presidio import PresidioSanitizer
    from llm_audit_producer.sinks.file import FileAuditStorage
    from llm_audit_producer.sinks.kafka import KafkaSink
    from llm_audit_producer.sinks.memory import MemorySink
    from llm_audit_producer.sinks.postgres import PostgresAuditStorage

__all__ = [
    "Audit",
    "AuditBlocked",
    "AuditError",
    "AuditLogger",
    "AuditSettingsError",
    "AuditUnavailable",
    "AuditedClient",
    "Block",
    "FileAuditStorage",
    "KafkaSink",
    "MemorySink",
    "PatternSanitizer",
    "PostgresAuditStorage",
    "PresidioSanitizer",
    "Sanitized",
    "UserRequiredError",
    "carry",
]

_HOMES = {
    "Audit": "anthropic_sdk.middleware",
    "AuditBlocked": "errors",
    "AuditError": "errors",
    "AuditLogger": "audit_logger",
    "AuditSettingsError": "errors",
    "AuditUnavailable": "errors",
    "AuditedClient": "anthropic_sdk.audited_client",
    "FileAuditStorage": "sinks.file",
    "KafkaSink": "sinks.kafka",
    "MemorySink": "sinks.memory",
    "Block": "sanitizing",
    "PatternSanitizer": "sanitizing.patterns",
    "PostgresAuditStorage": "sinks.postgres",
    "PresidioSanitizer": "sanitizing.presidio",
    "Sanitized": "sanitizing",
    "UserRequiredError": "errors",
    "carry": "context",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
