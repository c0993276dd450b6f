"""Saying where a fault of ours lies, without the words of the error: those may hold content or a secret."""

from __future__ import annotations

import logging
import traceback

logger = logging.getLogger("llm_audit_producer")


def say(what: str, error: BaseException) -> None:
    """Log at error level what went wrong, and where."""
    logger.error("llm-audit: %s: %s", what, where(error))


def where(error: BaseException) -> str:
    """An exception's class and the lines it passed, innermost last; nothing of its message or its values."""
    frames = traceback.extract_tb(error.__traceback__)
    path = " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{type(error).__name__} at {path or 'an unknown place'}"
