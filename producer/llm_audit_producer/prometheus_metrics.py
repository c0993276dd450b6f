"""The producer's metrics for Prometheus, for services that have prometheus_client.

A service says ``expose_metrics(audit.logger)``. It costs a call nothing: in one process the counters are read when
Prometheus asks. Where several processes share a folder (``PROMETHEUS_MULTIPROC_DIR``, as under Gunicorn), Prometheus
is answered from files, and a collector that computes its figures is never asked; there the figures follow every few
seconds, and once more when the producer begins to close.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from llm_audit_producer.distribution import DistributionSnapshot
from llm_audit_producer.errors import AuditSettingsError
from llm_audit_producer.statistics import Statistics, StatisticsSnapshot
from llm_audit_producer.statistics_follower import Counting, on_statistics

Values = Mapping[str, float]
"""Label value to figure; a metric without a label has the one figure of the label value ``""``."""

LOSS_REASONS = (
    "capture_error",
    "closed",
    "invalid_entry",
    "not_drained",
    "queue_full",
    "refused",
    "sink_error",
    "sink_unusable",
    "spool_broken",
    "spool_full",
    "too_large",
)
"""Reasons for a loss that are shown from the start, at 0: a rate cannot see the first value of a series."""


@dataclass(frozen=True, slots=True)
class ProducerMetric:
    """One metric: what it is called, what it means, and where its figure is read.

    Attributes:
        name: Its name, of a counter without ``_total``.
        kind: ``counter`` or ``gauge``.
        meaning: What it says, with the unit.
        read: Takes the figure from the counters.
        label: Its label, if it has one.
        over_processes: How a gauge is put together of several processes: ``livesum`` or ``livemax``.
    """

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    read: Callable[[StatisticsSnapshot], Values]
    label: str | None = None
    over_processes: Literal["livesum", "livemax"] = "livesum"


def _spool(field: str) -> Callable[[StatisticsSnapshot], Values]:
    def read(counted: StatisticsSnapshot) -> Values:
        return {} if counted.spool is None else {"": float(getattr(counted.spool, field))}

    return read


PRODUCER_METRICS: tuple[ProducerMetric, ...] = (
    ProducerMetric(
        "llm_audit_producer_captured", "counter", "Calls seen.", lambda counted: {"": counted.captured}
    ),
    ProducerMetric(
        "llm_audit_producer_delivered",
        "counter",
        "Entries that Kafka, or another sink, has acknowledged.",
        lambda counted: {"": counted.delivered},
    ),
    ProducerMetric(
        "llm_audit_producer_lost",
        "counter",
        "Entries that will never arrive, by reason.",
        lambda counted: {**dict.fromkeys(LOSS_REASONS, 0), **counted.lost},
        label="reason",
    ),
    ProducerMetric(
        "llm_audit_producer_unattributed",
        "counter",
        "Calls for which nobody was named.",
        lambda counted: {"": counted.unattributed},
    ),
    ProducerMetric(
        "llm_audit_producer_capture_errors",
        "counter",
        "Faults inside the capture itself, by exception class; the calls were not disturbed.",
        lambda counted: counted.capture_errors,
        label="kind",
    ),
    ProducerMetric(
        "llm_audit_producer_queue_entries",
        "gauge",
        "Calls that wait in memory for the recorder's thread.",
        lambda counted: {"": counted.queued},
    ),
    ProducerMetric(
        "llm_audit_producer_spool_entries",
        "gauge",
        "Entries in the spool that are not delivered yet; absent where there is no spool.",
        _spool("entries"),
    ),
    ProducerMetric(
        "llm_audit_producer_spool_bytes",
        "gauge",
        "Bytes that those entries take on disk, about; absent where there is no spool.",
        _spool("bytes"),
    ),
    ProducerMetric(
        "llm_audit_producer_spool_oldest_seconds",
        "gauge",
        "Age of the oldest of those entries; absent where there is no spool.",
        _spool("oldest_seconds"),
        over_processes="livemax",
    ),
    ProducerMetric(
        "llm_audit_producer_spool_adopted",
        "counter",
        "Entries delivered out of spools that dead processes left.",
        _spool("adopted"),
    ),
)
"""Every metric of the producer; deploy/METRICS.md has the same table."""


@dataclass(frozen=True, slots=True)
class ProducerHistogram:
    """A metric that is a distribution of seconds.

    Attributes:
        name: Its name.
        meaning: What it says.
        read: Takes the distribution from the counters.
    """

    name: str
    meaning: str
    read: Callable[[StatisticsSnapshot], DistributionSnapshot]


PRODUCER_HISTOGRAMS = (
    ProducerHistogram(
        "llm_audit_producer_recording_seconds",
        "Time that a caller was held up by having a call recorded.",
        lambda counted: counted.recording,
    ),
    ProducerHistogram(
        "llm_audit_producer_delivery_seconds",
        "Time from a call's end until Kafka, or another sink, had acknowledged its entry.",
        lambda counted: counted.delivery,
    ),
)
"""Every distribution of the producer."""


def expose_metrics(logger: Counting, registry: CollectorRegistry | None = None) -> None:
    """Have Prometheus see what a producer counts.

    To be called once in a process, before it forks workers if it does.

    Args:
        logger: The ``AuditLogger``; of an ``Audit`` it is ``audit.logger``.
        registry: Where the metrics are registered; prometheus_client's own when not given.

    Raises:
        AuditSettingsError: the registry has these metrics already.
    """
    registry = REGISTRY if registry is None else registry
    try:
        if _several_processes():
            on_statistics(logger, _FollowingMetrics(logger, registry).follow)
        else:
            registry.register(_Collector(logger))
    except ValueError as error:
        raise AuditSettingsError(
            f"these metrics are in the registry already ({error}); a process exposes one AuditLogger, so share it"
        ) from error


def _several_processes() -> bool:
    """Whether prometheus_client keeps its values in files: it decides so by these variables, at import."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ


class _Collector(Collector):
    """Reads the counters when Prometheus asks."""

    def __init__(self, logger: Counting) -> None:
        self._logger = logger

    def describe(self) -> Iterator[Metric]:
        """The metrics without their figures, so that a name taken twice is found at registration."""
        yield from (_family(metric, {}) for metric in PRODUCER_METRICS)
        yield from (HistogramMetricFamily(each.name, each.meaning) for each in PRODUCER_HISTOGRAMS)

    def collect(self) -> Iterator[Metric]:
        counted = self._logger.statistics()
        yield from (_family(metric, metric.read(counted)) for metric in PRODUCER_METRICS)
        yield from (_histogram(each, each.read(counted)) for each in PRODUCER_HISTOGRAMS)


def _family(metric: ProducerMetric, values: Values) -> Metric:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    labels = [] if metric.label is None else [metric.label]
    family = kind(metric.name, metric.meaning, labels=labels)
    for label, value in values.items():
        family.add_metric([label] if labels else [], value)
    return family


def _histogram(metric: ProducerHistogram, now: DistributionSnapshot) -> Metric:
    bounds = [*map(floatToGoString, now.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(now.counts), strict=True))
    return HistogramMetricFamily(metric.name, metric.meaning, buckets=buckets, sum_value=now.total)


class _FollowingMetrics:
    """prometheus_client's own counters and gauges, brought up to date from ours."""

    def __init__(self, logger: Counting, registry: CollectorRegistry) -> None:
        self._logger = logger
        self._life = logger.producer_id
        self._seen: dict[tuple[str, str], float] = {}
        self._metrics = {metric.name: _own_metric(metric, registry) for metric in PRODUCER_METRICS}
        self._histograms = {each.name: _OwnHistogram(each, registry) for each in PRODUCER_HISTOGRAMS}

    def follow(self, counted: StatisticsSnapshot) -> None:
        """Add what was counted since the last time."""
        if self._logger.producer_id != self._life:  # a forked child: its counters and its files begin anew
            self._life = self._logger.producer_id
            self._seen.clear()
            for histogram in self._histograms.values():
                histogram.begin_anew()
        for metric in PRODUCER_METRICS:
            for label, value in metric.read(counted).items():
                self._set(metric, label, value)
        for each in PRODUCER_HISTOGRAMS:
            self._histograms[each.name].follow(each.read(counted))

    def _set(self, metric: ProducerMetric, label: str, value: float) -> None:
        own = self._metrics[metric.name]
        child = own if metric.label is None else own.labels(label)
        if isinstance(child, Gauge):
            child.set(value)
        else:
            before = self._seen.get((metric.name, label), 0.0)
            child.inc(max(0.0, value - before))
            self._seen[metric.name, label] = value


class _OwnHistogram:
    """One of prometheus_client's histograms, brought up to date by what was counted since the last time."""

    def __init__(self, metric: ProducerHistogram, registry: CollectorRegistry) -> None:
        self._nothing = metric.read(Statistics().snapshot(0))
        self._seen = self._nothing
        self._own = Histogram(metric.name, metric.meaning, buckets=self._nothing.bounds, registry=registry)

    def begin_anew(self) -> None:
        """The counters begin at zero again."""
        self._seen = self._nothing

    def follow(self, now: DistributionSnapshot) -> None:
        """Add what is new. Its own way in takes one observation at a time, and would need each one's value."""
        for bucket, count, before in zip(self._own._buckets, now.counts, self._seen.counts, strict=True):
            bucket.inc(count - before)
        self._own._sum.inc(now.total - self._seen.total)
        self._seen = now


def _own_metric(metric: ProducerMetric, registry: CollectorRegistry) -> Counter | Gauge:
    labels = () if metric.label is None else (metric.label,)
    if metric.kind == "counter":
        return Counter(metric.name, metric.meaning, labels, registry=registry)
    return Gauge(
        metric.name, metric.meaning, labels, registry=registry, multiprocess_mode=metric.over_processes
    )
