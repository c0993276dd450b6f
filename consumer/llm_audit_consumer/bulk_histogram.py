"""A Prometheus histogram that takes many observations at once; prometheus_client's own takes them one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.utils import floatToGoString


class BulkHistogram:
    """One histogram without labels.

    Args:
        name: Its name, ending in its unit.
        documentation: What it tells.
        buckets: Upper bounds, each included, rising; ``+Inf`` is added.
        registry: Where it is registered.
    """

    def __init__(
        self, name: str, documentation: str, *, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.array(buckets, np.float64)
        self._labels = [*map(floatToGoString, buckets), "+Inf"]
        self._counts = np.zeros(len(self._labels), np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()  # scrapes come in another thread
        registry.register(self)

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Add observations."""
        bucket = np.searchsorted(self._bounds, values, side="left")
        counts = np.bincount(bucket, minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum += float(values.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What a scrape gets."""
        with self._lock:
            counts, total = np.cumsum(self._counts).tolist(), self._sum
        yield HistogramMetricFamily(
            self._name,
            self._documentation,
            buckets=list(zip(self._labels, counts, strict=True)),
            sum_value=total,
        )
