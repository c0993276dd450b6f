"""``llm-audit topic``: make the topics, and check that they are as the trail's promises need them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
from rich.table import Table

from llm_audit_consumer.cli.options import kafka_options
from llm_audit_consumer.errors import TopicMismatchError
from llm_audit_consumer.kafka.topics import TopicDifference, check_topics, create_topics, missing_topics
from llm_audit_consumer.reports.show import screen
from llm_audit_schemas import topics
from llm_audit_schemas.kafka_connection import KafkaConnection
from llm_audit_schemas.topics import TopicSpec

_DEFAULTS = TopicSpec(topics.ENTRIES)


@click.group(epilog="Examples:\n\n  llm-audit topic create --dry-run\n\n  llm-audit topic check --json")
def command() -> None:
    """Make and check the topics of entries, markers and content."""


def _spec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option(
                "--topic",
                default=topics.ENTRIES,
                show_default=True,
                envvar="LLM_AUDIT_TOPIC",
                show_envvar=True,
            ),
            click.option(
                "--partitions", type=click.IntRange(1), default=_DEFAULTS.partitions, show_default=True
            ),
            click.option(
                "--replication", type=click.IntRange(1), default=_DEFAULTS.replication, show_default=True
            ),
            click.option(
                "--min-in-sync", type=click.IntRange(1), default=_DEFAULTS.min_in_sync, show_default=True
            ),
            click.option(
                "--retention-days",
                type=click.FloatRange(0.01),
                default=_DEFAULTS.retention / timedelta(days=1),
                show_default=True,
                help="How long the broker keeps a record: the time a consumer may be away.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        )
    ):
        function = option(function)
    return kafka_options(function)


@command.command("create")
@_spec_options
@click.option("--dry-run", is_flag=True, help="Say what would be made, and change nothing.")
def create(kafka: KafkaConnection, *, as_json: bool, dry_run: bool, **wanted: Any) -> None:
    """Make the topics that are missing. A topic that is there is never altered; differences are said."""
    specs = _specs(**wanted)
    made = missing_topics(kafka, specs) if dry_run else create_topics(kafka, specs)
    differences = [each for each in check_topics(kafka, specs) if each.setting != "topic"]
    names = [spec.name for spec in made]
    if as_json:
        click.echo(
            json.dumps({"created": not dry_run, "topics": names, "differences": _described(differences)})
        )
        return
    for name in names:
        click.echo(f"{'would create' if dry_run else 'created'}: {name}")
    if not names:
        click.echo("Every topic is there already.")
    if differences:
        _show(differences)


@command.command("check")
@_spec_options
def check(kafka: KafkaConnection, *, as_json: bool, **wanted: Any) -> None:
    """Check the topics; exits with 7 when one is missing or not as it must be."""
    differences = check_topics(kafka, _specs(**wanted))
    if as_json:
        click.echo(json.dumps({"ok": not differences, "differences": _described(differences)}))
    elif differences:
        _show(differences)
    else:
        click.echo("The topics are as they must be.")
    if differences:
        raise TopicMismatchError(
            f"{len(differences)} differences", "the table's last column has the mend of each"
        )


def _specs(
    topic: str, partitions: int, replication: int, min_in_sync: int, retention_days: float
) -> list[TopicSpec]:
    return [
        TopicSpec(name, partitions, replication, min_in_sync, timedelta(days=retention_days))
        for name in (topic, topics.MARKERS, topics.CONTENT)
    ]


def _described(differences: list[TopicDifference]) -> list[dict[str, str]]:
    return [
        {
            "topic": each.topic,
            "setting": each.setting,
            "found": each.found,
            "wanted": each.wanted,
            "mend": each.mend,
        }
        for each in differences
    ]


def _show(differences: list[TopicDifference]) -> None:
    table = Table("topic", "setting", "is", "must be", "mend")
    for each in differences:
        table.add_row(each.topic, each.setting, each.found, each.wanted, each.mend)
    screen().print(table)
