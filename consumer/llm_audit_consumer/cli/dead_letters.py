"""``llm-audit dead-letters``: the messages that became no row - what they are, decoding them again, deleting them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.dead_letters import purging, reading
from llm_audit_consumer.dead_letters.replay import Replay, Replayed
from llm_audit_consumer.dead_letters.selection import Place, Selection
from llm_audit_consumer.decoding import Decoder
from llm_audit_consumer.errors import ConfigurationError, DeadLettersRemainError
from llm_audit_consumer.kafka.registry import registry_schemas
from llm_audit_consumer.reports import show as tables
from llm_audit_consumer.reports.time_range import moment
from llm_audit_consumer.store import AuditStore
from llm_audit_schemas import EntryCodec

_TABLE_ROWS = 1000
_MOST_HEX_BYTES = 4096
_MOST_BYTES = 2**30  # PostgreSQL holds no larger value
_MOST_DAYS = 36_500
_HEX_LINE = 32
_PERSONAL = "may hold personal data: keep it no longer than you need it"

_EXAMPLES = """Examples:

  llm-audit dead-letters list --since 'last 24h'

  llm-audit dead-letters list --counts --json

  llm-audit dead-letters show 4dPzY2ZlQ6CZb0Fn3v7uWA 0 1234 --raw letter.bin

  llm-audit dead-letters replay --reason unknown_schema_id --dry-run

  llm-audit dead-letters purge --older-than-days 30 --yes

A dead letter holds the message as it came, which may be anything, personal data too. Nothing here prints it unless
asked for. Times are UTC and mean when it became a dead letter.

Exit codes: 0 done, 1 no such dead letter, 2 a flag cannot be used or the role may not do this, 3 database unreachable,
5 tables missing or altered, 11 decoded again and some remain.
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """List, show, decode again and delete the messages that became no row."""


def _selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters."""
    for option in reversed(
        (
            click.option("--since", help="First put there from then on: 'last 24h', yesterday, 2026-11-01."),
            click.option("--until", help="First put there before, in the same words."),
            click.option("--reason", help="With this reason, such as unknown_schema_id."),
            click.option("--topic", help="From this topic."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        )
    ):
        function = option(function)
    return dsn_option(function)


def _selection(asked: Mapping[str, str | None]) -> Selection:
    now = datetime.now(UTC)
    since, until = (asked[name] and moment(str(asked[name]), now) for name in ("since", "until"))
    return Selection(since or None, until or None, asked["reason"], asked["topic"])


@command.command("list")
@_selecting
@click.option("--counts", is_flag=True, help="Only how many there are, by reason and topic.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Most rows. [default: {_TABLE_ROWS} in a table, all in JSON]",
)
def listed(*, dsn: str, as_json: bool, counts: bool, limit: int | None, **asked: str | None) -> None:
    """Which there are, the newest first, and how many by reason. Shows facts, never a message."""
    selection = _selection(asked)
    with reading.opened(dsn) as database:
        if as_json:
            found = (
                reading.counts(database, selection) if counts else reading.listed(database, selection, limit)
            )
            tables.write_json(found, sys.stdout)
            return
        by_reason = reading.counts(database, selection)
        if not by_reason:
            click.echo("No dead letters.")
            return
        console, most = tables.screen(), limit or _TABLE_ROWS
        if not counts:
            rows = list(reading.listed(database, selection, most))
            shown, left_out = tables.fitting(console, reading.LISTED, rows, ("bytes", "detail"), title=None)
            console.print(shown)
            if left_out:
                click.echo(f"Left out for want of width: {', '.join(left_out)}; --json has them.", err=True)
        console.print(tables.table(reading.COUNTED, by_reason))
    total = sum(row["messages"] for row in by_reason)
    if not counts and total > most:
        click.echo(f"Only the first {most} of {total}; more with --limit, all with --json.", err=True)


@command.command("show")
@dsn_option
@click.argument("topic_id")
@click.argument("partition", type=click.IntRange(0, 2**31 - 1))
@click.argument("offset", type=click.IntRange(0, 2**63 - 1))
@click.option(
    "--hex",
    "hex_bytes",
    type=click.IntRange(1, _MOST_HEX_BYTES),
    help=f"Also print so many of the message's first bytes; it {_PERSONAL}.",
)
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"Write the message's bytes to a new file that only you can read; it {_PERSONAL}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def shown(
    *,
    dsn: str,
    topic_id: str,
    partition: int,
    offset: int,
    hex_bytes: int | None,
    raw: Path | None,
    as_json: bool,
) -> None:
    """All that is known of one, by the place that list gives: topic id, partition, offset."""
    place = Place(topic_id, partition, offset)
    with reading.opened(dsn) as database:
        facts = dict(reading.facts(database, place))
        if hex_bytes:
            facts["value_hex"] = reading.value_of(database, place, hex_bytes).hex()
        if raw is not None:
            _write_private(raw, reading.value_of(database, place, _MOST_BYTES))
    if as_json:
        click.echo(json.dumps({name: _json(value) for name, value in facts.items()}))
    else:
        _print_facts(facts)
    if raw is not None:
        click.echo(f"{raw} has the message's {facts['value_bytes'] or 0} bytes; it {_PERSONAL}.", err=True)


@command.command("replay")
@_selecting
@click.option("--dry-run", is_flag=True, help="Decode only, and change nothing.")
@click.option(
    "--schema-registry",
    envvar="LLM_AUDIT_SCHEMA_REGISTRY",
    show_envvar=True,
    help="Address of a Confluent Schema Registry, as for the consumer.",
)
def replay(
    *, dsn: str, as_json: bool, dry_run: bool, schema_registry: str | None, **asked: str | None
) -> None:
    """Decode again, and store what has become readable; the rest stays, with the reason of today.

    An entry that is in the log already is not doubled. Run it again after any interruption. With roles, the login must
    be a member of llm_audit_writer and llm_audit_retention. Exits with 11 when some remain.
    """
    selection = _selection(asked)
    decoder = Decoder(
        EntryCodec(writer_schemas=registry_schemas(schema_registry) if schema_registry else None)
    )
    with reading.opened(dsn) as database, closing(AuditStore(dsn)) as store:
        of_all = purging.count(database, selection)
        came = Replay(database, store, decoder).run(
            selection, dry_run=dry_run, progress=lambda done: _progress("examined", done, of_all)
        )
    _say_replayed(came, dry_run=dry_run, as_json=as_json)
    if came.remaining and not dry_run:
        raise DeadLettersRemainError(
            f"{came.remaining.total()} dead letters still cannot become rows",
            "list shows the reason of each; purge deletes those that are of no use",
        )


@command.command("purge")
@_selecting
@click.option(
    "--older-than-days",
    type=click.FloatRange(0, _MOST_DAYS),
    default=purging.DEFAULT_DAYS,
    show_default=True,
    envvar=purging.DAYS_VARIABLE,
    show_envvar=True,
    help="Only those that became dead letters longer ago than this.",
)
@click.option("--dry-run", is_flag=True, help="Say how many would be deleted, and delete none.")
@click.option(
    "--yes", is_flag=True, help="Delete them. Without it, purge refuses and says how many they are."
)
def purge(
    *, dsn: str, as_json: bool, older_than_days: float, dry_run: bool, yes: bool, **asked: str | None
) -> None:
    """Delete for good; what was never decoded is then lost. With roles, the login needs llm_audit_retention."""
    selection = purging.expired(_selection(asked), timedelta(days=older_than_days), datetime.now(UTC))
    with reading.opened(dsn) as database:
        meant = purging.count(database, selection)
        if not (dry_run or yes):
            raise ConfigurationError(
                f"{meant} dead letters would be deleted for good", "say --yes to delete them, or --dry-run"
            )
        gone = (
            meant
            if dry_run
            else purging.purge(database, selection, lambda done: _progress("deleted", done, meant))
        )
    if as_json:
        click.echo(json.dumps({"purged": gone, "dry_run": dry_run, "before": str(selection.until)}))
    else:
        before = f"{selection.until:%Y-%m-%d %H:%M}"
        click.echo(
            f"{'would delete' if dry_run else 'deleted'}: {gone} dead letters from before {before} UTC"
        )


def _progress(what: str, done: int, of_all: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{what} {done} of {of_all}", err=True, nl=done >= of_all)


def _say_replayed(came: Replayed, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        found = {"examined": came.examined, "inserted": came.inserted, "duplicates": came.duplicates}
        click.echo(json.dumps({"dry_run": dry_run, **found, "remaining": dict(came.remaining)}))
        return
    stored = "can be decoded" if dry_run else "stored"
    click.echo(
        f"examined {came.examined}: {came.inserted} {stored}, {came.duplicates} were in the log already"
    )
    for reason, number in came.remaining.most_common():
        click.echo(f"{'would remain' if dry_run else 'remain'}: {number} {tables.printable(reason)}")


def _print_facts(facts: Mapping[str, object]) -> None:
    for name, value in facts.items():
        if name != "value_hex":
            click.echo(f"{name.replace('_', ' '):18} {tables.printable(value)}")
    digits = str(facts.get("value_hex", ""))
    for start in range(0, len(digits), 2 * _HEX_LINE):
        line = digits[start : start + 2 * _HEX_LINE]
        click.echo(f"{start // 2:06x}  {line}")


def _write_private(file: Path, content: bytes) -> None:
    """Write a file that was not there and that nobody else can read."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write --raw {file}: {error.strerror}", "name a new file in a folder you may write to"
        ) from error


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
