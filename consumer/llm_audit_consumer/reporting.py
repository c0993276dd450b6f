"""What the daemon tells Prometheus: the outcome of each batch, and how far behind it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from llm_audit_consumer.batch import Message, Partition, Written
from llm_audit_consumer.batch_decoding import DecodedMessages
from llm_audit_consumer.lag import judge_lag
from llm_audit_consumer.metrics import Metrics
from llm_audit_consumer.spending import spending_of


class Watermarks(Protocol):
    """Knows how long a partition is."""

    def high_watermark(self, partition: Partition) -> int | None:
        """Offset that the next message will get; ``None`` while not known."""
        ...


class Reporter:
    """Keeps the metrics.

    Args:
        metrics: The consumer's metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reported: set[Partition] = set()

    def batch_written(self, messages: DecodedMessages, written: Written, now: datetime) -> None:
        """A batch was committed."""
        metrics = self._metrics
        metrics.batch_messages.observe(len(messages))
        metrics.rows.inc(written.inserted)
        metrics.duplicates.inc(written.duplicates)
        metrics.last_success.set(now.timestamp())
        # After a duplicate nothing tells which rows were new; a repeated entry's call is not another call.
        if written.duplicates == 0:
            self._calls(messages, now)
            messages.entries.spending.report(metrics)
            spending_of(messages.rows).report(metrics)
        for reason, count in written.reasons.items():
            metrics.dead_letters.labels(reason).inc(count)

    def _calls(self, messages: DecodedMessages, now: datetime) -> None:
        metrics, rows = self._metrics, messages.rows
        calls = messages.entries.calls + Counter((row["model"], row["status"]) for row in rows)
        for (model, status), count in calls.items():
            metrics.calls.labels(metrics.model_label(model), status).inc(count)
        # In seconds: a hostile latency in Avro's long reaches beyond what a date can hold.
        delays = now.timestamp() - messages.entries.call_ends / 1e6
        others = [(now - row["timestamp"]).total_seconds() - (row["latency_ms"] or 0) / 1000 for row in rows]
        metrics.delay.observe_all(np.maximum(0.0, np.append(delays, others)))

    def lag(
        self,
        next_offsets: Mapping[Partition, int | None],
        oldest: Mapping[Partition, Message],
        watermarks: Watermarks,
    ) -> None:
        """Report the lag of every partition that is ours, and forget those that are not."""
        self.forget(self._reported - next_offsets.keys())
        self._metrics.assigned.set(len(next_offsets))
        now, all_caught_up = datetime.now(UTC), bool(next_offsets)
        for partition, next_offset in next_offsets.items():
            waiting = oldest.get(partition)
            lag = judge_lag(
                high_watermark=watermarks.high_watermark(partition),
                next_offset=next_offset,
                oldest_waiting=None if waiting is None else waiting.timestamp,
                now=now,
            )
            all_caught_up = all_caught_up and lag.messages == 0
            self._set(partition, lag.messages, lag.seconds)
        if all_caught_up:
            self._metrics.last_success.set(now.timestamp())

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Partitions whose lag is no longer ours to tell."""
        for partition in list(partitions):
            self._set(partition, None, None)
            self._reported.discard(partition)

    def _set(self, partition: Partition, messages: int | None, seconds: float | None) -> None:
        labels = (partition.topic, str(partition.number))
        for gauge, value in ((self._metrics.lag_messages, messages), (self._metrics.lag_seconds, seconds)):
            if value is not None:
                gauge.labels(*labels).set(value)
            else:
                gauge.remove_by_labels(dict(zip(("topic", "partition"), labels, strict=True)))
        self._reported.add(partition)
