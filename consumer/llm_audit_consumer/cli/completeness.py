"""``llm-audit completeness``: is everything there, and if not, what is missing?"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.completeness.judgement import Verdict, count
from llm_audit_consumer.completeness.ranges import parsed
from llm_audit_consumer.completeness.report import JudgedProducer, Question, Summary, examine
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import show
from llm_audit_consumer.reports.time_range import moment
from llm_audit_consumer.store.postgres import Database
from llm_audit_schemas import topics

_COLUMNS = ("producer_id", "service", "verdict", "arrived", "missing", "which", "explained", "last_sign_at")
_SPARE = ("last_sign_at", "explained", "service")
_TABLE_ROWS = 200
_SHOWN_RUNS = 5
_DOUBTFUL = 1

_EXAMPLES = """Examples:

  llm-audit completeness --since 'last 24h'

  llm-audit completeness --producer 8c3e0f0e-5f55-4d0c-9a44-6c0b6a0f3b1e --json

Verdicts: missing (made, and not there), unknown_tail (it never said that it ended), late (may still come), running,
complete. Exit codes: 0 nothing is missing, late or unknown; 1 something is, or it is not known how far the consumer has
read; 2 a flag cannot be used; 3 database unreachable; 5 tables missing or altered.
"""


@click.command(epilog=_EXAMPLES)
@dsn_option
@click.option(
    "--since", help="Only producers heard of since then: 'last 24h', yesterday, 2026-11-01. [default: all]"
)
@click.option("--producer", "producer_id", type=click.UUID, help="Only this producer.")
@click.option("--all", "everyone", is_flag=True, help="Show producers that are complete, too.")
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=60.0,
    show_default=True,
    envvar="LLM_AUDIT_COMPLETENESS_GRACE",
    show_envvar=True,
    help="Seconds after which an entry that was claimed, and is not there, is missing and no longer late.",
)
@click.option(
    "--silence",
    type=click.FloatRange(0),
    default=120.0,
    show_default=True,
    envvar="LLM_AUDIT_COMPLETENESS_SILENCE",
    show_envvar=True,
    help="Seconds without a sign after which a producer that did not say it ended has an unknown tail.",
)
@click.option("--group", default="llm-audit", show_default=True, envvar="LLM_AUDIT_GROUP", show_envvar=True)
@click.option(
    "--topic", default=topics.ENTRIES, show_default=True, envvar="LLM_AUDIT_TOPIC", show_envvar=True
)
@click.option(
    "--markers-topic",
    default=topics.MARKERS,
    show_default=True,
    envvar="LLM_AUDIT_MARKERS_TOPIC",
    show_envvar=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every missing sequence.")
def command(*, dsn: str, as_json: bool, **asked: Any) -> None:
    """Say of each producer whether all its entries have arrived, and which are missing."""
    question = _question(asked)
    with closing(Database(dsn, application_name="llm-audit-completeness")) as database:
        summary, judged = examine(database, question)
        if as_json:
            _print_json(summary, judged)
        else:
            _print_table(summary, judged)
    if not summary.complete:
        sys.exit(_DOUBTFUL)


def _question(asked: dict[str, Any]) -> Question:
    now = datetime.now(UTC)
    since = None if asked["since"] is None else moment(asked["since"], now)
    if since is not None and since > now:
        raise ConfigurationError(
            f"--since {since:%Y-%m-%d %H:%M} lies in the future", "give a moment before now"
        )
    producer_id: UUID | None = asked["producer_id"]
    return Question(
        group=asked["group"],
        entries_topic=asked["topic"],
        markers_topic=asked["markers_topic"],
        since=since,
        producer_id=None if producer_id is None else str(producer_id),
        everyone=asked["everyone"] or producer_id is not None,
        grace=timedelta(seconds=asked["grace"]),
        silence=timedelta(seconds=asked["silence"]),
    )


def _print_json(summary: Summary, judged: Iterator[JudgedProducer]) -> None:
    """An object whose producers stream; the summary stands after them, when it is known."""
    sys.stdout.write('{"producers": [')
    separator = "\n"
    for one in judged:
        sys.stdout.write(separator + json.dumps(_as_json(one)))
        separator = ",\n"
    reading = summary.reading
    totals = {
        "complete": summary.complete,
        "entries_read_through": _moment(reading.entries_through),
        "markers_read_through": _moment(reading.markers_through),
        "verdicts": {verdict.value: number for verdict, number in summary.producers.items()},
        "missing": summary.missing,
        "explained": summary.explained,
        "late": summary.late,
    }
    sys.stdout.write(f'\n], "summary": {json.dumps(totals)}}}\n')


def _as_json(one: JudgedProducer) -> dict[str, object]:
    row, judged = one.row, one.judged
    return {
        "producer_id": row["producer_id"],
        "service": row["service"],
        "environment": row["environment"],
        "host": row["host"],
        "process_id": row["process_id"],
        "delivery_mode": row["delivery_mode"],
        "verdict": judged.verdict.value,
        "last_sequence": row["last_sequence"],
        "highest_arrived": row["highest"],
        "missing": [list(run) for run in judged.missing],
        "missing_count": judged.missing_count,
        "dropped_by_producer": row["dropped"],
        "dead_letters": row["dead_letters"],
        "late": [list(run) for run in judged.late],
        "unknown_after": judged.unknown_after,
        "unclean": row["unclean"],
        "started_at": _moment(row["started_at"]),
        "ended_at": _moment(row["ended_at"]),
        "last_seen_at": _moment(row["last_seen_at"]),
    }


def _print_table(summary: Summary, judged: Iterator[JudgedProducer]) -> None:
    shown = list(islice(judged, _TABLE_ROWS))
    more = sum(1 for _ in judged)
    click.echo(_in_words(summary))
    if shown:
        console = show.screen()
        table, left_out = show.fitting(console, _COLUMNS, [_cells(one) for one in shown], _SPARE, title=None)
        console.print(table)
        if left_out:
            click.echo(f"Left out for want of width: {', '.join(left_out)}; --json has them.", err=True)
    if more:
        click.echo(f"Only the first {_TABLE_ROWS} producers, {more} more with --json.", err=True)


def _in_words(summary: Summary) -> str:
    reading = summary.reading
    if not summary.known:
        unread = "entries" if reading.entries_through is None else "producers' markers"
        return f"Not known: no consumer of this group has said how far it has read the {unread}."
    through = f"{min(filter(None, (reading.entries_through, reading.markers_through))):%Y-%m-%d %H:%M:%S} UTC"
    if summary.complete:
        running = summary.producers[Verdict.RUNNING]
        return f"Complete, as of what was read up to {through}." + (f" {running} running." if running else "")
    parts = [
        f"{summary.missing} missing ({summary.explained} of them explained)" if summary.missing else "",
        f"{summary.late} late" if summary.late else "",
        f"{summary.producers[Verdict.UNKNOWN_TAIL]} producers with an unknown tail"
        if summary.producers[Verdict.UNKNOWN_TAIL]
        else "",
    ]
    return f"Not complete: {', '.join(part for part in parts if part)}. Read up to {through}."


def _cells(one: JudgedProducer) -> dict[str, object]:
    row, judged = one.row, one.judged
    return {
        "producer_id": row["producer_id"],
        "service": row["service"],
        "verdict": judged.verdict.value,
        "arrived": count(parsed(row["received"])),
        "missing": judged.missing_count,
        "which": _which(judged.missing, judged.unknown_after),
        "explained": f"{row['dropped']} dropped, {row['dead_letters']} dead letters",
        "last_sign_at": _moment(row["last_seen_at"]),
    }


def _which(missing: Sequence[tuple[int, int]], unknown_after: int | None) -> str:
    runs = [str(first) if first == last else f"{first}-{last}" for first, last in missing[:_SHOWN_RUNS]]
    if len(missing) > _SHOWN_RUNS:
        runs.append(f"and {len(missing) - _SHOWN_RUNS} more runs")
    if unknown_after is not None:
        runs.append("unknown from the start" if unknown_after < 0 else f"unknown after {unknown_after}")
    return ", ".join(runs)


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds")
