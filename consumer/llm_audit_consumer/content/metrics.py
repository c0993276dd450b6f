"""The metrics of content, defined once. No label holds a user, a tenant or any content."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class ContentMetrics:
    """What became of content.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stored = Counter(
            "llm_audit_content_stored",
            "Parts of content (an input or an output) committed, with those that were there already.",
            registry=registry,
        )
        self.dropped = Counter(
            "llm_audit_content_dropped",
            "Parts of content that were not stored: refused (a retention class that stores none, though a producer "
            "sent it: alert on it), or erased (of a user erased after the call).",
            ["reason"],
            registry=registry,
        )
        for reason in ("refused", "erased"):
            self.dropped.labels(reason)
