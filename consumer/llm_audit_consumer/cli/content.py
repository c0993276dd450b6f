"""``llm-audit content``: the keys content is sealed to, the store of users' keys, and content without an entry."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from llm_audit_consumer.cli.options import DSN_VARIABLE, dsn_option
from llm_audit_consumer.cli.retention import json_option
from llm_audit_consumer.content.key_store import SAME_DATABASE, open_key_store
from llm_audit_consumer.content.reading import ORPHAN_COLUMNS, opened, orphans
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.reports.show import plain, screen, table
from llm_audit_schemas.content import ContentKey

_HOUR_SECONDS = 3600.0
_TABLE_ROWS = 1000
_EXAMPLES = """Examples:

  llm-audit content keygen archive-2026 --directory keys

  llm-audit content prepare-keys --key-store postgresql://keys@keyhost/keys

  llm-audit content orphans --grace-hours 24 --json
"""


def key_store_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--key-store``; passed on as ``key_store``."""
    return click.option(
        "--key-store",
        envvar="LLM_AUDIT_KEY_STORE_DSN",
        show_envvar=True,
        help="Where users' keys lie: a PostgreSQL connection string of a second database, file:PATH, or "
        f"{SAME_DATABASE} (development only).",
    )(function)


def to_the_second(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows for a table: moments in UTC without fractions, so that ids have room to stand on one line."""
    return [
        {
            name: f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in rows
    ]


def read_key(path: Path) -> ContentKey:
    """The key in a file.

    Raises:
        ConfigurationError: it cannot be read.
        InvalidContentKeyError: it holds no key.
    """
    try:
        return ContentKey.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {error}") from error


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Make keys for encrypted content, prepare the key store, find content without an entry."""


@command.command("keygen", epilog="Example:\n\n  llm-audit content keygen archive-2026 --directory keys")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the two files go. [default: here]",
)
@json_option
def keygen(name: str, directory: Path, *, as_json: bool) -> None:
    """Make a pair of keys: NAME.public for the services, NAME.private for who may read, kept offline.

    Content is lost for good with the private key. Nothing that is there is overwritten.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    except ImportError as error:
        raise ConfigurationError(
            "making keys needs the package cryptography", "install llm-audit-log[content]"
        ) from error
    made = X25519PrivateKey.generate()
    files = {
        directory / f"{name}.private": (ContentKey(name, made.private_bytes_raw()), 0o600),
        directory / f"{name}.public": (ContentKey(name, made.public_key().public_bytes_raw()), 0o644),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, (key, mode) in files.items():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(key.text() + "\n")
    except OSError as error:
        raise ConfigurationError(
            f"the key file cannot be written: {error}", "choose another NAME or --directory"
        ) from error
    private, public = files
    if as_json:
        click.echo(json.dumps({"private": str(private), "public": str(public)}))
        return
    click.echo(f"{private}: keep it offline; `llm-audit show --reveal` asks for it")
    click.echo(f"{public}: give it to services as LLM_AUDIT_CONTENT_PUBLIC_KEY_FILE")


@command.command(
    "prepare-keys", epilog="Example:\n\n  llm-audit content prepare-keys --key-store file:/srv/keys"
)
@key_store_option
@click.option("--dsn", envvar=DSN_VARIABLE, show_envvar=True, default="", help=f"For {SAME_DATABASE} alone.")
def prepare_keys(key_store: str | None, dsn: str) -> None:
    """Make the key store's tables, so that the consumer's login needs no right to."""
    if not key_store:
        raise ConfigurationError("no key store is named", "give --key-store or LLM_AUDIT_KEY_STORE_DSN")
    store = open_key_store(key_store, dsn)
    store.close()
    click.echo(f"ready: {store.description}")


@command.command("orphans", epilog="Example:\n\n  llm-audit content orphans --grace-hours 24")
@dsn_option
@click.option(
    "--grace-hours",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="How long an entry may take longer than its content.",
)
@click.option(
    "--limit", type=click.IntRange(1), help=f"Most rows. [default: {_TABLE_ROWS} in a table, all in JSON]"
)
@json_option
def show_orphans(dsn: str, *, grace_hours: float, limit: int | None, as_json: bool) -> None:
    """Content whose entry has not come: it was lost, waits in a spool, or has expired before its content."""
    most = limit or (None if as_json else _TABLE_ROWS)
    with opened(dsn) as database:
        found = orphans(database, grace_hours * _HOUR_SECONDS, most)
    if as_json:
        click.echo(json.dumps(found, default=plain))
    elif found:
        screen().print(table(ORPHAN_COLUMNS, to_the_second(found)))
    else:
        click.echo("All content that is older than that has its entry.")
