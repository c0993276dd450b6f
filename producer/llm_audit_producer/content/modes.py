"""How much of a call's content is kept: nothing, keyed hashes, or the content itself, sealed. Pure."""

from __future__ import annotations

import logging

logger = logging.getLogger("llm_audit_producer")

CONTENT_MODES = ("none", "hash", "encrypted")
"""From least to most."""

NO_CONTENT_CLASSES = frozenset({"hipaa"})
"""Retention classes under which content is never stored, sealed or not."""


def least(one: str | None, other: str | None) -> str | None:
    """The mode that keeps less; ``None`` says nothing."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other, key=CONTENT_MODES.index)


def known_mode(asked: object) -> str:
    """The mode that is asked for; the least, said in a warning, where there is none of that name."""
    if isinstance(asked, str) and asked in CONTENT_MODES:
        return asked
    logger.warning(
        "llm-audit: content_mode %.40r is unknown, so nothing is kept of such calls' content", asked
    )
    return CONTENT_MODES[0]


def effective_mode(
    wanted: str | None, *, has_hash_key: bool, retention_class: str, has_content_topic: bool
) -> tuple[str, str | None]:
    """The mode that a producer really has, and why it is less than what was asked for, if it is.

    Args:
        wanted: The setting; ``None`` where it was not set.
        has_hash_key: Whether a hash key is configured.
        retention_class: The retention class of the producer's entries.
        has_content_topic: Whether entries go to Kafka, where sealed content has its topic.
    """
    without_content = "hash" if has_hash_key else "none"
    if wanted == "encrypted":
        if retention_class in NO_CONTENT_CLASSES:
            return (
                without_content,
                f"retention class {retention_class!r} never stores content, not even encrypted",
            )
        if not has_content_topic:
            return (
                without_content,
                "encrypted content travels on Kafka, and this producer was given another storage",
            )
        return "encrypted", None
    if wanted == "hash" and not has_hash_key:
        return "none", "no hash key is set; set LLM_AUDIT_HASH_KEY to NAME:BASE64-SECRET"
    return wanted or without_content, None
