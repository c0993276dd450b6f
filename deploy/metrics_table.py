"""The table of metrics in METRICS.md, made of what the code exports: ``python -m deploy.metrics_table``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from llm_audit_consumer.bulk_histogram import BulkHistogram
from llm_audit_consumer.completeness.judgement import Reading
from llm_audit_consumer.completeness.metrics import CompletenessMetrics
from llm_audit_consumer.completeness.report import Summary
from llm_audit_consumer.metrics import Metrics
from llm_audit_producer.prometheus_metrics import PRODUCER_HISTOGRAMS, PRODUCER_METRICS

METRICS_FILE = Path(__file__).with_name("METRICS.md")

_SAMPLES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_UNITS = {
    "_timestamp_seconds": "seconds since 1970",
    "_seconds": "seconds",
    "_bytes": "bytes",
    "_usd": "US dollars",
    "_tokens": "tokens",
    "_messages": "messages",
    "_entries": "entries",
    "_partitions": "partitions",
    "_producers": "producers",
    "_rows": "rows",
    "_calls": "calls",
}
_CONSUMER_KINDS = (MetricWrapperBase, BulkHistogram)
_TABLE = re.compile(r"(?s)(?<=<!-- made by metrics_table\.py -->\n).*?(?=<!-- end -->)")


class Exported(NamedTuple):
    """A metric as its page shows it.

    Attributes:
        name: Its name; of a counter with ``_total``.
        kind: ``counter``, ``gauge`` or ``histogram``.
        labels: Names of its labels.
        meaning: What its HELP line says.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def sample_names(self) -> set[str]:
        """The names that an expression may ask for."""
        return {self._base + suffix for suffix in _SAMPLES[self.kind]}

    @property
    def unit(self) -> str:
        """The unit, which its name tells; ``count`` where it tells none."""
        return next((unit for suffix, unit in _UNITS.items() if self._base.endswith(suffix)), "count")

    @property
    def _base(self) -> str:
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


def exported() -> list[Exported]:
    """Every metric: of the consumer, of completeness, of the producer."""
    metrics = Metrics(CollectorRegistry())
    consumer = [_of_consumer(each) for each in vars(metrics).values() if isinstance(each, _CONSUMER_KINDS)]
    completeness = [
        _of_family(each, tuple(label for sample in each.samples[:1] for label in sample.labels))
        for each in _examined().collect()
    ]
    producer = [
        Exported(
            f"{each.name}_total" if each.kind == "counter" else each.name,
            each.kind,
            () if each.label is None else (each.label,),
            each.meaning,
        )
        for each in PRODUCER_METRICS
    ]
    distributions = [Exported(each.name, "histogram", (), each.meaning) for each in PRODUCER_HISTOGRAMS]
    return consumer + completeness + producer + distributions


def _of_consumer(metric: MetricWrapperBase | BulkHistogram) -> Exported:
    if isinstance(metric, BulkHistogram):  # which has no labels
        return _of_family(next(iter(metric.collect())), ())
    return _of_family(next(iter(metric.describe())), tuple(metric._labelnames))


def _examined() -> CompletenessMetrics:
    """The gauges after an examination; before one there are none."""
    now = datetime.now(UTC)
    metrics = CompletenessMetrics()
    metrics.examined(Summary(Reading(entries_through=now, markers_through=now)))
    return metrics


def _of_family(family: Metric, labels: tuple[str, ...]) -> Exported:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return Exported(name, family.type, labels, family.documentation)


def table_of(metrics: Iterable[Exported]) -> str:
    """The table, in Markdown."""
    lines = ["| metric | type | labels | unit | meaning |", "|---|---|---|---|---|"]
    for each in metrics:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        lines.append(f"| `{each.name}` | {each.kind} | {labels} | {each.unit} | {each.meaning} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table into METRICS.md."""
    text, replaced = _TABLE.subn(table_of(exported()).replace("\\", r"\\"), METRICS_FILE.read_text())
    if replaced != 1:
        raise SystemExit(f"{METRICS_FILE} has no place for the table")
    METRICS_FILE.write_text(text)


if __name__ == "__main__":
    main()
