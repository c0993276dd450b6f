"""``llm-audit retention``: what has expired, and letting it go."""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.errors import ConfigurationError, RetentionIncompleteError
from llm_audit_consumer.reports.show import printable, screen, table
from llm_audit_consumer.reports.time_range import moment
from llm_audit_consumer.retention.history import actions
from llm_audit_consumer.retention.planning import Plan, Step, make_plan
from llm_audit_consumer.retention.policies import GROUPS, Policies, load
from llm_audit_consumer.retention.running import Outcome, RetentionRun, RunSettings
from llm_audit_consumer.store.postgres import Database

_DEFAULTS = RunSettings("")
_HISTORY = (
    "started_at",
    "operator",
    "database_role",
    "action",
    "partition",
    "retention_class",
    "rows",
    "finished_at",
)
_EXAMPLES = """Examples:

  llm-audit retention policies --policy-file retention.toml

  llm-audit retention plan

  llm-audit retention plan --as-of 2028-01-01 --json

  llm-audit retention apply --dry-run

  llm-audit retention apply --yes --policy-file retention.toml

Exit codes: 0 done, 2 a flag or policy cannot be used or the role may not, 3 database unreachable, 5 tables missing or
altered, 8 another run is at work, or a long query held a month up: run again.
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Let expire what the policies say: rows, hashes and error messages, by retention class."""


def policy_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--policy-file``; passed on as ``policy_file``."""
    return click.option(
        "--policy-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="LLM_AUDIT_RETENTION_POLICIES",
        show_envvar=True,
        help="Your policies (TOML), laid over those that come with the trail.",
    )(function)


def operator_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--by``: who acts; passed on as ``operator``."""
    return click.option(
        "--by",
        "operator",
        default=_user,
        show_default="your user name on this machine",
        envvar="LLM_AUDIT_OPERATOR",
        show_envvar=True,
        help="Who has this done; recorded, beside the role of the database.",
    )(function)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        return f"uid {os.getuid()}"


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command.command("policies", epilog="Example:\n\n  llm-audit retention policies --json")
@policy_option
@json_option
def show_policies(policy_file: Path | None, *, as_json: bool) -> None:
    """Show the policies in force, class by class."""
    policies = load(policy_file)
    if as_json:
        click.echo(json.dumps([policy.described() for policy in policies.values()]))
        return
    rows = [
        {
            "class": name,
            **{group: str(policy.periods.get(group, "-")) for group in GROUPS},
            "missing": ", ".join(policy.missing),
        }
        for name, policy in policies.items()
    ]
    screen().print(table(["class", *GROUPS, "missing"], rows))


@command.command("plan", epilog="Example:\n\n  llm-audit retention plan --as-of 2028-01-01")
@dsn_option
@policy_option
@click.option(
    "--as-of", default="now", show_default=True, help="The moment to judge by, UTC; may be in the future."
)
@json_option
def show_plan(dsn: str, policy_file: Path | None, as_of: str, *, as_json: bool) -> None:
    """Say what has expired, and change nothing. Reads the whole log; an auditor may ask it."""
    policies, now = load(policy_file), moment(as_of, datetime.now(UTC))
    with closing(Database(dsn, application_name="llm-audit-retention")) as database:
        _say_plan(_surveyed(database, policies, now), as_json=as_json)


@command.command("apply", epilog="Example:\n\n  llm-audit retention apply --yes --by 'Ada, records office'")
@dsn_option
@policy_option
@operator_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do it: what has expired is gone for good.")
@click.option(
    "--batch-rows",
    type=click.IntRange(1, 100_000),
    default=_DEFAULTS.batch_rows,
    show_default=True,
    help="Most rows that one transaction changes.",
)
@click.option(
    "--patience",
    type=click.FloatRange(1, 86_400),
    default=_DEFAULTS.patience_seconds,
    show_default=True,
    help="Seconds to try again to drop a month that somebody's long query holds; then it is put off.",
)
@json_option
def apply(
    dsn: str,
    policy_file: Path | None,
    operator: str,
    *,
    dry_run: bool,
    yes: bool,
    batch_rows: int,
    patience: float,
    as_json: bool,
) -> None:
    """Let go what has expired, as a member of llm_audit_retention.

    May be stopped and run again at any moment; entries go on coming in meanwhile. Everything it does is recorded.
    """
    if dry_run == yes:
        raise ConfigurationError(
            "apply deletes what has expired for good",
            "look first with --dry-run, then say --yes (one of the two)",
        )
    policies, now = load(policy_file), datetime.now(UTC)
    settings = RunSettings(operator, batch_rows=batch_rows, patience_seconds=patience)
    with closing(Database(dsn, application_name="llm-audit-retention")) as database:
        if dry_run:
            _say_plan(_surveyed(database, policies, now), as_json=as_json)
            return
        outcome = _applied(database, policies, now, settings)
    _say_outcome(outcome, as_json=as_json)
    if outcome.postponed:
        raise RetentionIncompleteError(
            f"{len(outcome.postponed)} steps were put off: somebody's long query held the log",
            "run again later",
        )


@command.command("history", epilog="Example:\n\n  llm-audit retention history --limit 20 --json")
@dsn_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most records.")
@json_option
def history(dsn: str, limit: int, *, as_json: bool) -> None:
    """Show what retention did, newest first: who, when, under which policy, how many rows."""
    found = actions(dsn, limit)
    if as_json:
        click.echo(json.dumps(found, default=str))
        return
    screen().print(table(_HISTORY, found))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True))


def _surveyed(database: Database, policies: Policies, now: datetime) -> Plan:
    with _progress() as progress:
        task = progress.add_task("survey", total=None)
        return make_plan(
            database,
            policies,
            now,
            lambda _partition, done, total: progress.update(task, completed=done, total=total),
        )


def _applied(database: Database, policies: Policies, now: datetime, settings: RunSettings) -> Outcome:
    with _progress() as progress:
        task = progress.add_task("survey", total=None)

        def report(step: Step, rows: int) -> None:
            progress.update(task, description=f"{step.action} {step.partition.name}", advance=rows)

        run = RetentionRun(database, policies, now, settings, report=report)
        plan = run.plan()
        progress.update(task, total=sum(step.rows for step in plan.steps))
        return run.apply(plan)


def _say_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_described_plan(plan)))
        return
    if plan.steps:
        title = f"as of {plan.as_of:%Y-%m-%d %H:%M} UTC"
        rows = [_described_step(step) for step in plan.steps]
        screen().print(table(list(rows[0]), rows, title=title))
    else:
        click.echo(f"Nothing has expired as of {plan.as_of:%Y-%m-%d %H:%M} UTC.")
    for name, count in plan.held.items():
        click.echo(f"Under a legal hold, and kept: {count} rows of the class {printable(name)}.")
    _warn(plan)


def _say_outcome(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        done = {"run_id": str(outcome.run_id), "rows": outcome.rows, "months_dropped": outcome.months}
        postponed = [_described_step(step) for step in outcome.postponed]
        click.echo(json.dumps({**_described_plan(outcome.plan), "done": done, "postponed": postponed}))
        return
    for action, rows in outcome.rows.items():
        click.echo(f"{action}: {rows} rows")
    if outcome.months:
        click.echo(f"months dropped: {', '.join(outcome.months)}")
    if not outcome.plan.steps:
        click.echo("Nothing had expired.")
    _warn(outcome.plan)


def _warn(plan: Plan) -> None:
    for name in plan.without_policy:
        count = plan.rows.get(name, 0) + plan.contents.get(name, 0)
        click.echo(
            f"warning: {count} rows of the class {printable(name)} have no policy and are kept for ever; "
            "give the class one in a policy file",
            err=True,
        )


def _described_plan(plan: Plan) -> dict[str, object]:
    return {
        "as_of": plan.as_of.isoformat(),
        "steps": [_described_step(step) for step in plan.steps],
        "rows": plan.rows,
        "contents": plan.contents,
        "held": plan.held,
        "without_policy": list(plan.without_policy),
    }


def _described_step(step: Step) -> dict[str, object]:
    return {
        "action": step.action,
        "partition": step.partition.name,
        "retention_class": step.retention_class,
        "expired_before": step.expired_before and step.expired_before.isoformat(),
        "rows": step.rows,
    }
