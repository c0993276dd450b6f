"""How long something took, many times over: counts by upper bound, as Prometheus's histograms want them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

RECORDING_BOUNDS = (0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.1, 1.0)
"""Seconds that a caller may spend on having a call recorded."""

DELIVERY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0, 300.0, 3600.0, 86400.0)
"""Seconds that an entry may take to arrive; one that waited in a spool takes long."""


@dataclass(frozen=True, slots=True)
class DistributionSnapshot:
    """A distribution at one moment.

    Attributes:
        bounds: Upper bounds, rising, in seconds.
        counts: Observations at or below each bound and above the one before; the last is of those above all.
        total: The sum of all, in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)


NO_RECORDING = DistributionSnapshot(RECORDING_BOUNDS, (0,) * (len(RECORDING_BOUNDS) + 1), 0.0)
NO_DELIVERY = DistributionSnapshot(DELIVERY_BOUNDS, (0,) * (len(DELIVERY_BOUNDS) + 1), 0.0)


class Distribution:
    """Counts observations. Its owner sees to it that one thread at a time observes.

    Args:
        bounds: Upper bounds, rising, in seconds.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one observation; a clock that went back counts as zero."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    def snapshot(self) -> DistributionSnapshot:
        """What was counted so far."""
        return DistributionSnapshot(self._bounds, tuple(self._counts), self._total)
