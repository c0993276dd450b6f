"""``llm-audit erase``: a user's content made unreadable everywhere, and the user's entries anonymous."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import click

from llm_audit_consumer.cli.content import key_store_option
from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.cli.retention import json_option, operator_option
from llm_audit_consumer.content.erasing import Eraser, Reached, Whom
from llm_audit_consumer.content.key_store import SAME_DATABASE, open_key_store
from llm_audit_consumer.content.reading import opened
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports.show import screen, table
from llm_audit_schemas import EntryCodec, topics
from llm_audit_schemas.topics import TopicSpec

_TOPIC_DAYS = TopicSpec(topics.ENTRIES).retention / timedelta(days=1)
_KEY_BACKUP_DAYS = 7.0
_EXAMPLES = """Examples:

  llm-audit erase --user ada --dry-run

  llm-audit erase --user ada --reason 'request of 2026-11-20' --yes

  llm-audit erase --user ada --tenant corp --metadata keep --reason 'tax law keeps metadata' --yes

Takes a login that is a member of llm_audit_retention, and the key store. Run it again once spools have been delivered:
it does what is left. Exit codes: 0 erased, 2 a flag cannot be used or the role may not, 3 a database is unreachable,
12 a legal hold forbids it.
"""


class Remains(NamedTuple):
    """A copy that this command does not reach.

    Attributes:
        what: Which copy.
        until: Until when it lives; ``None`` where only its owner knows.
        note: What it holds, and what to do.
    """

    what: str
    until: datetime | None
    note: str


@click.command(epilog=_EXAMPLES)
@dsn_option
@click.option("--user", "user_id", required=True, help="Whom to erase.")
@click.option("--tenant", help="Only of this tenant. [default: of all, and of none]")
@click.option("--reason", default="", help="Why; recorded.")
@operator_option
@click.option(
    "--metadata",
    type=click.Choice(["pseudonymise", "keep"]),
    default="pseudonymise",
    show_default=True,
    help="What becomes of entries beside their hashes: a pseudonym for the user and nothing else that points to them, "
    "or all kept.",
)
@click.option(
    "--topic-retention-days",
    type=click.FloatRange(0),
    default=_TOPIC_DAYS,
    show_default=True,
    help="How long your topics keep records.",
)
@click.option(
    "--key-backup-days",
    type=click.FloatRange(0),
    default=_KEY_BACKUP_DAYS,
    show_default=True,
    envvar="LLM_AUDIT_KEY_BACKUP_DAYS",
    show_envvar=True,
    help="How long backups and write-ahead logs of the key store live.",
)
@key_store_option
@click.option("--dry-run", is_flag=True, help="Say what would be reached, and change nothing.")
@click.option("--yes", is_flag=True, help="Really erase; there is no way back.")
@json_option
def command(
    dsn: str,
    *,
    user_id: str,
    tenant: str | None,
    reason: str,
    operator: str,
    metadata: str,
    topic_retention_days: float,
    key_backup_days: float,
    key_store: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase a user: delete the key that opens their content, null their hashes, pseudonymise their entries."""
    if not key_store:
        raise ConfigurationError(
            "without the key store nothing can be erased", "name it: --key-store or LLM_AUDIT_KEY_STORE_DSN"
        )
    if dry_run == yes:
        raise ConfigurationError("say --dry-run or --yes", "look first: llm-audit erase --user U --dry-run")
    whom = Whom(user_id, tenant)
    keys = open_key_store(key_store, dsn)
    try:
        with opened(dsn) as database:
            eraser = Eraser(database, keys, EntryCodec())
            if dry_run:
                reached = eraser.plan(whom)
            else:
                reached = eraser.erase(
                    whom,
                    operator=operator,
                    reason=reason,
                    pseudonymise=metadata == "pseudonymise",
                    progress=lambda rows: click.echo(f"{rows} entries done", err=True) if rows else None,
                )
        pseudonym = keys.pseudonym(user_id, tenant)
    finally:
        keys.close()
    remains = _remaining(
        datetime.now(UTC),
        topic_retention_days,
        key_backup_days,
        same_database=key_store in {SAME_DATABASE, dsn},
    )
    _say(reached, remains, None if metadata == "keep" else pseudonym, dry_run=dry_run, as_json=as_json)


def _remaining(
    now: datetime, topic_days: float, key_backup_days: float, *, same_database: bool
) -> list[Remains]:
    topics_until = now + timedelta(days=topic_days)
    keys_until = now + timedelta(days=key_backup_days)
    return [
        Remains(f"topic {topics.ENTRIES}", topics_until, "names and hashes of entries, in clear; no content"),
        Remains(
            f"topic {topics.CONTENT}",
            topics_until,
            "content sealed to the organisation's key alone: whoever holds its private key can read it until then",
        ),
        Remains(
            "backups and write-ahead log of the key store",
            None if same_database else keys_until,
            "the deleted key; with it, backups of the content can be read"
            + (
                ". It lies in the audit database itself, so they live as long as that one's"
                if same_database
                else ""
            ),
        ),
        Remains(
            "backups of the audit database",
            None,
            "names and hashes of entries; content in them stays unreadable once the key's backups are gone",
        ),
        Remains(
            "spools of services (LLM_AUDIT_SPOOL_DIRECTORY)",
            None,
            "entries that were not delivered; once they are, run this again",
        ),
        Remains(
            "files of FileAuditStorage, tables of PostgresAuditStorage elsewhere",
            None,
            "entries that a service keeps by itself; delete this user's lines there",
        ),
    ]


def _say(
    reached: Reached, remains: Sequence[Remains], pseudonym: str | None, *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    "erased": not dry_run,
                    "pseudonym": pseudonym,
                    "reached": asdict(reached),
                    "remains": [
                        {"what": each.what, "until": each.until and each.until.isoformat(), "note": each.note}
                        for each in remains
                    ],
                }
            )
        )
        return
    click.echo(
        f"{'Would reach' if dry_run else 'Reached'}: {reached.keys} keys, {reached.contents} rows of content, "
        f"{reached.entries} entries, {reached.dead_letters} dead letters."
    )
    if pseudonym and not dry_run:
        click.echo(f"The entries now stand under {pseudonym}.")
    for topic, partition, offset in reached.dead_letters_named:
        click.echo(
            f"Judge by hand: dead letter {topic} {partition} {offset} holds the name and cannot be read."
        )
    rows = [
        {
            "copy": each.what,
            "until": "its owner knows" if each.until is None else f"{each.until:%Y-%m-%d}",
            "what_it_holds": each.note,
        }
        for each in remains
    ]
    screen().print(table(("copy", "until", "what_it_holds"), rows, title="Not reached"))
