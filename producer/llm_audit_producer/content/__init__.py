"""Content that is kept: which mode a call's content has, and how it is sealed and sent (see README.md)."""

from llm_audit_producer.content.modes import CONTENT_MODES, effective_mode, least

__all__ = ["CONTENT_MODES", "effective_mode", "least"]
