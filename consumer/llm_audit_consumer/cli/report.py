"""``llm-audit report``: the auditor's questions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports import run, show
from llm_audit_consumer.reports.time_range import moment

_COST = ("user_id", "model", "calls", "unpriced_calls", "input_tokens", "output_tokens", "cost_usd")
_ERRORS = ("model", "calls", "errors", "error_rate", "aborted", "blocked", "error_types")
_USAGE = (
    "day",
    "calls",
    "users",
    "input_tokens",
    "output_tokens",
    "of_which_thinking",
    "cache_read_tokens",
    "cost_usd",
)
_ANOMALIES = ("user_id", "day", "calls", "tokens", "usual_tokens", "days", "deviations", "verdict")


@click.group(
    epilog="Examples:\n\n  llm-audit report cost --since 'last 7d'\n\n"
    "  llm-audit report errors --since yesterday --until today --json\n\n"
    "  llm-audit report anomalies --since 30d --csv > anomalies.csv"
)
def command() -> None:
    """Answer the auditor's questions: cost, anomalies, errors, usage."""


def _questions(default_since: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options every report has."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(
            (
                click.option(
                    "--since",
                    default=default_since,
                    show_default=True,
                    help="From when on: 'last 24h', 7d, today, yesterday, 2026-11-01, 2026-11-01T09:30+01:00. UTC.",
                ),
                click.option(
                    "--until", default="now", show_default=True, help="Up to when, in the same words."
                ),
                click.option("--user", "user_id", help="Only this user's calls."),
                click.option("--model", help="Only this model's calls."),
                click.option(
                    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most rows."
                ),
                click.option(
                    "--json", "form", flag_value="json", help="Print JSON; decimals as text, exact."
                ),
                click.option("--csv", "form", flag_value="csv", help="Print CSV."),
            )
        ):
            function = option(function)
        return dsn_option(function)

    return decorate


@command.command("cost")
@_questions("last 7d")
def cost(**asked: Any) -> None:
    """What each user spent on each model; calls without a known price are counted beside the sum."""
    _answer("cost", _COST, asked)


@command.command("errors")
@_questions("last 7d")
def errors(**asked: Any) -> None:
    """How each model's calls ended, and the error rate."""
    _answer("errors", _ERRORS, asked)


@command.command("usage")
@_questions("last 30d")
def usage(**asked: Any) -> None:
    """Calls and tokens by UTC day."""
    _answer("usage", _USAGE, asked)


@command.command("anomalies")
@_questions("last 30d")
@click.option(
    "--threshold",
    type=click.FloatRange(0),
    default=None,
    help="Deviations above the usual that count. [default: 5, with --plain 3]",
)
@click.option(
    "--minimum-days", type=click.IntRange(2), default=5, show_default=True, help="Fewer are not judged."
)
@click.option("--plain", is_flag=True, help="Mean and standard deviation over all users instead.")
def anomalies(*, threshold: float | None, minimum_days: int, plain: bool, **asked: Any) -> None:
    """Days on which a user's tokens lie far above that same user's own other days.

    Robust to wild days and to few samples: the baseline is the user's own median, and users with fewer days than
    --minimum-days are named with the verdict 'too few days' instead of being judged.
    """
    if threshold is None:
        threshold = 3.0 if plain else 5.0
    name = "anomalies_plain" if plain else "anomalies"
    _answer(name, _ANOMALIES, {**asked, "threshold": threshold, "minimum_days": minimum_days})


def _answer(name: str, columns: Sequence[str], asked: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    since, until = moment(asked.pop("since"), now), moment(asked.pop("until"), now)
    if since >= until:
        raise ConfigurationError(
            f"--since {since:%Y-%m-%d %H:%M} is not before --until {until:%Y-%m-%d %H:%M}"
        )
    form, dsn = asked.pop("form"), asked.pop("dsn")
    found = run.rows(dsn, name, {**asked, "since": since, "until": until})
    if form == "json":
        show.write_json(found, sys.stdout)
    elif form == "csv":
        show.write_csv(columns, found, sys.stdout)
    else:
        rows = list(found)
        show.screen().print(show.table(columns, rows) if rows else "Nothing to report in that time.")
