"""``llm-audit hold``: legal holds."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.cli.retention import json_option, operator_option
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports.show import screen, table
from llm_audit_consumer.retention import holds
from llm_audit_consumer.retention.holds import Scope

_COLUMNS = (
    "hold_id",
    "placed_at",
    "placed_by",
    "reason",
    "on",
    "released_at",
    "released_by",
    "release_reason",
)
_EXAMPLES = """Examples:

  llm-audit hold add --user ada --reason 'case 4711'

  llm-audit hold add --everything --reason 'regulator asks' --by 'Grace, legal'

  llm-audit hold list --all --json

  llm-audit hold release 0b6c... --reason 'case 4711 is closed'
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Place, list and release legal holds: what is under one neither expires nor can be erased."""


@command.command(
    "add", epilog="Example:\n\n  llm-audit hold add --tenant acme --reason 'case 4711' --dry-run"
)
@dsn_option
@click.option("--user", "user_id", help="Hold this user's entries.")
@click.option("--tenant", help="Hold this tenant's entries; with --user, only those that are both.")
@click.option("--from-id", "first_request_id", type=click.UUID, help="Hold entries from this request_id on.")
@click.option("--to-id", "last_request_id", type=click.UUID, help="Hold entries up to this request_id.")
@click.option("--everything", is_flag=True, help="Hold the whole log.")
@click.option("--reason", required=True, help="Why; recorded.")
@operator_option
@click.option("--dry-run", is_flag=True, help="Say how many rows it would hold, and place nothing.")
@json_option
def add(
    dsn: str, *, everything: bool, reason: str, operator: str, dry_run: bool, as_json: bool, **conditions: Any
) -> None:
    """Place a hold on what all the given conditions are true of."""
    scope = Scope(**conditions)
    if scope.everything != everything:
        raise ConfigurationError(
            "a hold needs conditions, or --everything, and not both", "say for example --user ada"
        )
    rows = holds.rows_held(dsn, scope) if dry_run else None
    hold_id = None if dry_run else holds.place(dsn, scope, placed_by=operator, reason=reason)
    if as_json:
        click.echo(json.dumps({"hold_id": hold_id and str(hold_id), "rows": rows}))
    elif dry_run:
        click.echo(f"would hold {rows} rows")
    else:
        click.echo(f"placed: {hold_id}")


@command.command("list", epilog="Example:\n\n  llm-audit hold list --all")
@dsn_option
@click.option("--all", "released_too", is_flag=True, help="Released ones too.")
@json_option
def show(dsn: str, *, released_too: bool, as_json: bool) -> None:
    """List the holds, oldest first."""
    found = holds.listed(dsn, released_too=released_too)
    if as_json:
        click.echo(json.dumps(found, default=str))
        return
    if not found:
        click.echo("There are no holds.")
        return
    rows = [{**each, "on": _scope_of(each)} for each in found]
    screen().print(table([name for name in _COLUMNS if released_too or "release" not in name], rows))


@command.command(
    "release", epilog="Example:\n\n  llm-audit hold release 0b6c... --reason 'case closed' --by Grace"
)
@click.argument("hold_id", type=click.UUID)
@dsn_option
@click.option("--reason", required=True, help="Why; recorded.")
@operator_option
def release(hold_id: UUID, dsn: str, reason: str, operator: str) -> None:
    """Release a hold. Its record stays; what has expired meanwhile goes with the next run of retention."""
    holds.release(dsn, hold_id, released_by=operator, reason=reason)
    click.echo(f"released: {hold_id}")


def _scope_of(hold: dict[str, Any]) -> str:
    if hold["everything"]:
        return "everything"
    words = {"user_id": "user", "tenant": "tenant", "first_request_id": "from", "last_request_id": "to"}
    return ", ".join(f"{word} {hold[name]}" for name, word in words.items() if hold[name] is not None)
