"""``llm-audit reprice``: what a price table of today says of stored calls. It reads, and never writes.

Rows are evidence, so there is nothing here that could update one: a cost stays as it was stored, with the table that it
was computed by, and what another table says is shown beside it. That is why ``--dry-run`` is required: a command that
shows must not look like one that mends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import click

from llm_audit_schemas.moments import moment
from llm_audit_schemas.text import storable

if TYPE_CHECKING:
    from llm_audit_producer.pricing.comparison import Comparison
    from llm_audit_producer.pricing.recompute import StoredCall

_PROGRESS_CALLS = 100_000
_REFUSED = 2
_EXIT_CODES = {"bad_question": 2, "not_allowed": 2, "away": 3, "not_migrated": 5}

_EXAMPLES = """Examples:

  llm-audit reprice --dry-run --since 2026-10 --until 2026-11

  llm-audit reprice --dry-run --since 'last 7d' --price-overrides negotiated.toml --json

  llm-audit reprice --dry-run --since yesterday --model claude-sonnet-4-6

Each call is priced at the rates of its own time, from the facts in its row. difference_usd counts the calls that have
both a stored and a recomputed cost; the others stand under null_before and null_after with the reason. Times are UTC;
--until is not included. Exit codes: 0 answered, 2 a flag cannot be used, --dry-run is missing or the role may not read,
3 database unreachable, 5 tables missing or altered.
"""


@click.command(epilog=_EXAMPLES, short_help="Show what a newer price table says of stored calls.")
@click.option(
    "--dry-run", is_flag=True, help="Show, and change nothing. Required: nothing may change a stored row."
)
@click.option(
    "--dsn",
    envvar="LLM_AUDIT_POSTGRES_DSN",
    required=True,
    show_envvar=True,
    help="PostgreSQL connection string (libpq URI or keywords). Keep a password out of the flag: use the variable, "
    "PGPASSWORD or a passfile.",
)
@click.option(
    "--price-overrides",
    envvar="LLM_AUDIT_PRICE_OVERRIDES",
    show_envvar=True,
    type=click.Path(dir_okay=False),
    help="File of negotiated prices (TOML or JSON) that go before the list prices.",
)
@click.option(
    "--since",
    default="last 7d",
    show_default=True,
    help="From when on: 'last 24h', 7d, today, yesterday, 'this month', 2026-11, 2026-11-01, "
    "2026-11-01T09:30+01:00. UTC.",
)
@click.option(
    "--until",
    default="now",
    show_default=True,
    help="Up to when, in the same words, not included: a date means its start.",
)
@click.option("--user", "user_id", help="Only this user's calls.")
@click.option("--model", help="Only this model's calls.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; decimals as text, exact.")
def command(
    *,
    dry_run: bool,
    dsn: str,
    price_overrides: str | None,
    since: str,
    until: str,
    user_id: str | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Show what today's price table says of stored calls, beside what they were stored with."""
    if not dry_run:
        _fail(
            "nothing may update the audit log: its rows are evidence, and keep the cost they were stored with",
            "add --dry-run to see what the newer price table says",
        )
    for flag, text in (("--user", user_id), ("--model", model)):
        if text is not None and storable(text) != text:
            _fail(f"{flag} {text!r} holds what no stored text can hold", "write it in UTF-8, without NUL")
    period = _period(since, until)
    from llm_audit_producer.cli import reprice_output

    found = _compared(dsn, price_overrides, period, user_id, model)
    if as_json:
        reprice_output.write_json(found, sys.stdout)
    elif found:
        reprice_output.print_table(found, f"{period[0]:%Y-%m-%d %H:%M} to {period[1]:%Y-%m-%d %H:%M} UTC")
    else:
        click.echo(f"No calls from {period[0]:%Y-%m-%d %H:%M} to {period[1]:%Y-%m-%d %H:%M} UTC.")


def _period(since: str, until: str) -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    try:
        start, end = moment(since, now), moment(until, now)
    except ValueError as error:
        _fail(str(error))
    if start >= end:
        _fail(f"--since {start:%Y-%m-%d %H:%M} is not before --until {end:%Y-%m-%d %H:%M}")
    return start, end


def _compared(
    dsn: str,
    price_overrides: str | None,
    period: tuple[datetime, datetime],
    user_id: str | None,
    model: str | None,
) -> list[Comparison]:
    # Imported here, so that `llm-audit --help` stays quick.
    from llm_audit_producer.errors import AuditSettingsError, TrailUnreadableError
    from llm_audit_producer.pricing import price_source
    from llm_audit_producer.pricing.comparison import compare
    from llm_audit_producer.pricing.recompute import StoredCall, recompute
    from llm_audit_producer.sinks.postgres import PostgresAuditStorage

    try:
        source = price_source(price_overrides)
        rows = PostgresAuditStorage(dsn).priced_calls(*period, user_id=user_id, model=model)
        calls = (StoredCall(**row) for row in rows)
        return compare(_with_progress(calls), lambda call: recompute(source, call))
    except AuditSettingsError as error:
        _fail(str(error))
    except TrailUnreadableError as error:
        _fail(str(error), code=_EXIT_CODES.get(error.reason, 1))


def _with_progress(calls: Iterator[StoredCall]) -> Iterator[StoredCall]:
    """The same calls, saying now and then on a terminal how many there have been."""
    said = sys.stderr.isatty()
    for number, call in enumerate(calls, 1):
        yield call
        if said and number % _PROGRESS_CALLS == 0:
            click.echo(f"{number:,} calls priced again", err=True)


def _fail(message: str, hint: str = "", code: int = _REFUSED) -> NoReturn:
    """End the command as the other commands end: message, hint, exit code."""
    click.echo(f"llm-audit: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(code)
