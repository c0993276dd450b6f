"""Tells a function of yours what the producer has counted, every few seconds: for whoever has no Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from llm_audit_producer.statistics import StatisticsSnapshot


class Counting(Protocol):
    """A producer: an ``AuditLogger``."""

    @property
    def producer_id(self) -> str:
        """Identity of this process's life as a producer; another one after fork."""
        ...

    def statistics(self) -> StatisticsSnapshot:
        """What was captured, delivered and lost so far."""
        ...

    def every_few_seconds(self, tick: Callable[[bool], None]) -> None:
        """Have ``tick`` called now and then while calls are recorded, and at the end."""
        ...


def on_statistics(logger: Counting, tell: Callable[[StatisticsSnapshot], None]) -> None:
    """Have ``tell`` called with the counters every few seconds while calls are recorded, and once when closing begins.

    It runs on the recorder's own thread: it must be quick. What it raises is counted and logged, and delivery goes on.
    After fork the child's counters begin at zero, as its ``producer_id`` is another.

    Args:
        logger: The ``AuditLogger``; of an ``Audit`` it is ``audit.logger``.
        tell: Takes the counters, all of them since the producer's start.
    """
    logger.every_few_seconds(lambda _closing: tell(logger.statistics()))
