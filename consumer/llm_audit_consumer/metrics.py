"""Every metric of the consumer, defined once: name, labels, unit and meaning.

Names follow Prometheus's conventions; no label holds a user, a tenant or any content, and the models named in a label
are bounded. A lag that is not known is absent, never zero.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from llm_audit_consumer.bulk_histogram import BulkHistogram

MODEL_LIMIT = 50
"""Most models that get a label value of their own; the rest are ``other``."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_DELAYS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400)
_BATCHES = (1, 10, 50, 100, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)


class Metrics:
    """The consumer's metrics.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.lag_messages = Gauge(
            "llm_audit_consumer_lag_messages",
            "Messages of a partition that are not in PostgreSQL yet; absent while not known.",
            ["topic", "partition"],
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "llm_audit_consumer_lag_seconds",
            "Age of the oldest message of a partition that is not in PostgreSQL yet; absent while not known.",
            ["topic", "partition"],
            registry=registry,
        )
        self.batch_messages = Histogram(
            "llm_audit_consumer_batch_messages", "Messages in a batch.", buckets=_BATCHES, registry=registry
        )
        self.batch_seconds = Histogram(
            "llm_audit_consumer_batch_duration_seconds",
            "Time to handle a batch, by step: decode or write.",
            ["step"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.rows = Counter("llm_audit_consumer_rows", "Rows committed to the audit log.", registry=registry)
        self.duplicates = Counter(
            "llm_audit_consumer_duplicates", "Entries that were in the audit log already.", registry=registry
        )
        self.dead_letters = Counter(
            "llm_audit_consumer_dead_letters",
            "Messages put into dead letters.",
            ["reason"],
            registry=registry,
        )
        self.errors = Counter(
            "llm_audit_consumer_errors",
            "Failures of the consumer, by kind; each is tried again.",
            ["kind"],
            registry=registry,
        )
        self.out_of_range = Counter(
            "llm_audit_consumer_offsets_lost",
            "Offsets that the broker deleted before they were read.",
            ["topic", "partition"],
            registry=registry,
        )
        self.last_success = Gauge(
            "llm_audit_consumer_last_success_timestamp_seconds",
            "When a batch was last committed, or the topic was last found empty; seconds since 1970.",
            registry=registry,
        )
        self.assigned = Gauge(
            "llm_audit_consumer_assigned_partitions",
            "Partitions that are this consumer's.",
            registry=registry,
        )
        self.calls = Counter(
            "llm_audit_calls",
            "Audited LLM calls, by model and status.",
            ["model", "status"],
            registry=registry,
        )
        self.delay = BulkHistogram(
            "llm_audit_call_to_row_delay_seconds",
            "Time from a call's end to its committed row.",
            buckets=_DELAYS,
            registry=registry,
        )
        self.tokens = Counter(
            "llm_audit_tokens",
            "Tokens as the API reported them, by model and kind: input, output (thinking included), cache_read, "
            "cache_write.",
            ["model", "kind"],
            registry=registry,
        )
        self.cost = Counter(
            "llm_audit_cost_usd",
            "What the calls whose cost is known have cost, by model.",
            ["model"],
            registry=registry,
        )
        self.without_cost = Counter(
            "llm_audit_calls_without_cost",
            "Calls whose cost is not known, by model; they are in no sum of costs.",
            ["model"],
            registry=registry,
        )
        self.unattributed = Counter(
            "llm_audit_unattributed_calls", "Calls for which nobody was named.", registry=registry
        )
        self._models: set[str] = set()

    def model_label(self, model: str | None) -> str:
        """The label value for a model: its name, ``unknown``, or ``other`` once there are too many."""
        if model is None:
            return "unknown"
        if model not in self._models:
            if len(self._models) >= MODEL_LIMIT:
                return "other"
            self._models.add(model)
        return model
