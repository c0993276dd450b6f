"""``llm-audit report``: the auditor's questions."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import run, show
from llm_audit_consumer.reports.time_range import moment

_TABLE_ROWS = 1000
_MOST_HISTORY_DAYS = 3650

_EXAMPLES = """Examples:

  llm-audit report cost --since 'last 7d'

  llm-audit report cost --since 2026-10 --until 2026-11 --csv > october.csv

  llm-audit report errors --since yesterday --until today --json

  llm-audit report anomalies --since yesterday

Times are UTC; --until is not included. Exit codes: 0 answered, 2 a flag cannot be used or the role may not read,
3 database unreachable, 5 tables missing or altered.
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Answer the auditor's questions: cost, anomalies, errors, usage."""


def _question(name: str, default_since: str, example: str) -> Callable[[Callable[..., None]], click.Command]:
    """A report's command, with the options that every report has."""

    def decorate(function: Callable[..., None]) -> click.Command:
        for option in reversed(
            (
                click.option(
                    "--since",
                    default=default_since,
                    show_default=True,
                    help="From when on: 'last 24h', 7d, today, yesterday, 'this month', 2026-11, 2026-11-01, "
                    "2026-11-01T09:30+01:00. UTC.",
                ),
                click.option(
                    "--until",
                    default="now",
                    show_default=True,
                    help="Up to when, in the same words, not included: a date means its start.",
                ),
                click.option("--user", "user_id", help="Only this user's calls."),
                click.option("--model", help="Only this model's calls."),
                click.option(
                    "--limit",
                    type=click.IntRange(1),
                    help=f"Most rows. [default: {_TABLE_ROWS} in a table, all in JSON and CSV]",
                ),
                click.option(
                    "--json", "form", flag_value="json", help="Print JSON; decimals as text, exact."
                ),
                click.option(
                    "--csv", "form", flag_value="csv", help="Print CSV, made harmless for spreadsheets."
                ),
            )
        ):
            function = option(function)
        epilog = f"Example:\n\n  llm-audit report {example}"
        return command.command(name, epilog=epilog)(dsn_option(function))

    return decorate


@_question("cost", "last 7d", "cost --since 2026-10 --until 2026-11 --user ada --csv")
def cost(**asked: Any) -> None:
    """What each user spent on each model; calls without a known price are counted beside the sum."""
    _answer("cost", asked)


@_question("errors", "last 7d", "errors --since 'last 24h' --model claude-sonnet-4-6")
def errors(**asked: Any) -> None:
    """How each model's calls ended, and the error rate: errors among the calls that were sent."""
    _answer("errors", asked)


@_question("usage", "last 30d", "usage --since 'this month' --json")
def usage(**asked: Any) -> None:
    """Calls, tokens and cost by UTC day."""
    _answer("usage", asked)


@_question("anomalies", "last 7d", "anomalies --since yesterday --minimum-days 10")
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    default=None,
    help="Deviations above the usual that count. "
    f"[default: {run.THRESHOLDS['anomalies']:g}, with --plain {run.THRESHOLDS['anomalies_plain']:g}]",
)
@click.option(
    "--minimum-days",
    type=click.IntRange(2),
    default=run.MINIMUM_DAYS,
    show_default=True,
    help="Users with fewer days are not judged, but named.",
)
@click.option(
    "--history-days",
    type=click.IntRange(0, _MOST_HISTORY_DAYS),
    default=run.HISTORY_DAYS,
    show_default=True,
    help="Days before --since that tell what is usual, without being judged.",
)
@click.option("--plain", is_flag=True, help="Mean and standard deviation over all users' days instead.")
def anomalies(*, threshold: float | None, plain: bool, **asked: Any) -> None:
    """Days on which a user's tokens lie far above that same user's own other days.

    Robust to wild days and to few samples: the baseline is the user's own median, and users with fewer days than
    --minimum-days are named with the verdict 'too few days' instead of being judged.
    """
    name = "anomalies_plain" if plain else "anomalies"
    if threshold is None:
        threshold = run.THRESHOLDS[name]
    if not math.isfinite(threshold):  # click takes "nan" for a number in every range
        raise ConfigurationError(f"--threshold {threshold} is no number of deviations", "give one such as 5")
    _answer(name, {**asked, "threshold": threshold})


def _answer(name: str, asked: Mapping[str, Any]) -> None:
    now = datetime.now(UTC)
    since, until = moment(asked["since"], now), moment(asked["until"], now)
    if since >= until:
        raise ConfigurationError(
            f"--since {since:%Y-%m-%d %H:%M} is not before --until {until:%Y-%m-%d %H:%M}"
        )
    parameters = {key: value for key, value in asked.items() if key not in {"dsn", "form"}}
    parameters |= {"since": since, "until": until}
    if asked["form"] == "json":
        show.write_json(run.rows(asked["dsn"], name, parameters), sys.stdout)
    elif asked["form"] == "csv":
        show.write_csv(run.COLUMNS[name], run.rows(asked["dsn"], name, parameters), sys.stdout)
    else:
        _print_table(asked["dsn"], name, parameters)


def _print_table(dsn: str, name: str, parameters: Mapping[str, Any]) -> None:
    """The table under its period, and whether there is more than it shows."""
    limit = parameters["limit"] or _TABLE_ROWS
    found = list(run.rows(dsn, name, {**parameters, "limit": limit + 1}))
    period = f"{parameters['since']:%Y-%m-%d %H:%M} to {parameters['until']:%Y-%m-%d %H:%M} UTC"
    if not found:
        click.echo(f"Nothing to report from {period}.")
        return
    console = show.screen()
    table, left_out = show.fitting(console, run.COLUMNS[name], found[:limit], run.SPARE_COLUMNS, title=period)
    console.print(table)
    if left_out:
        names = ", ".join(left_out)
        click.echo(f"Left out for want of width: {names}; --csv and --json have them.", err=True)
    if len(found) > limit:
        click.echo(f"Only the first {limit} rows; more with --limit, all with --csv or --json.", err=True)
