"""``llm-audit migrate``: bring the tables up to date."""

from __future__ import annotations

import json
import sys

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.store.migrations_runner import Migration, migrate, pending

_PENDING_EXIT = 1


@click.command(
    epilog="Examples:\n\n  llm-audit migrate --dsn postgresql://owner@db/audit\n\n  llm-audit migrate --check --json"
)
@dsn_option
@click.option("--dry-run", is_flag=True, help="Say what would be applied, and change nothing.")
@click.option("--check", is_flag=True, help="As --dry-run, and exit with 1 when something is pending.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(dsn: str, dry_run: bool, check: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Bring the database's tables up to date.

    Safe to run at any time and by several at once: they take turns, and the later ones find nothing to do.
    """
    only_look = dry_run or check
    found = pending(dsn) if only_look else migrate(dsn)
    if as_json:
        click.echo(json.dumps({"applied": not only_look, "migrations": [_described(each) for each in found]}))
    else:
        for each in found:
            click.echo(f"{'pending' if only_look else 'applied'}: {each.version:04} {each.name}")
        if not found:
            click.echo("The tables are up to date.")
    if check and found:
        sys.exit(_PENDING_EXIT)


def _described(migration: Migration) -> dict[str, object]:
    return {"version": migration.version, "name": migration.name}
