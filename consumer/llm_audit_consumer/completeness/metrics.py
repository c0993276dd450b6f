"""Completeness as Prometheus sees it. Every consumer exports the same: take the maximum over them, not the sum."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from llm_audit_consumer.completeness.report import Summary

_FRESH_SECONDS = 180.0


class CompletenessMetrics(Collector):
    """What the last examination came to; nothing at all while there was none for a while, or reading was unknown."""

    def __init__(self) -> None:
        self._summary: Summary | None = None
        self._at = 0.0

    def examined(self, summary: Summary) -> None:
        """Take an examination's result."""
        self._summary, self._at = summary, time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        summary = self._summary
        if summary is None or time.monotonic() - self._at > _FRESH_SECONDS or not summary.known:
            return
        missing = GaugeMetricFamily(
            "llm_audit_completeness_missing_entries",
            "Entries that producers made and that are lost; of producers heard of in the last seven days.",
        )
        missing.add_metric([], summary.missing)
        yield missing
        late = GaugeMetricFamily(
            "llm_audit_completeness_late_entries", "Entries that producers made and that may still come."
        )
        late.add_metric([], summary.late)
        yield late
        producers = GaugeMetricFamily(
            "llm_audit_completeness_producers",
            "Producers heard of in the last seven days, by verdict: missing, unknown_tail, late, running, complete.",
            labels=["verdict"],
        )
        for verdict, number in summary.producers.items():
            producers.add_metric([verdict.value], number)
        yield producers
