"""``llm-audit show``: one entry, and its content for who may."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from llm_audit_consumer.cli.content import key_store_option, read_key, to_the_second
from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.cli.retention import json_option, operator_option
from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.reading import content_facts, entry, open_content, opened
from llm_audit_consumer.content.wrapping import StoredContent, reveal
from llm_audit_consumer.errors import ConfigurationError, ContentUnreadableError, NothingFoundError
from llm_audit_consumer.reports.show import plain, printable, screen, table
from llm_audit_schemas.content import ContentKey

_FACTS = ("part", "plain_bytes", "truncated", "received_at", "recipient_key_id", "sealing")
_EXAMPLES = """Examples:

  llm-audit show 01a1f84a-d0d3-7101-8101-010101010101

  llm-audit show 01a1f84a-d0d3-7101-8101-010101010101 --json

  llm-audit show 01a1f84a-d0d3-7101-8101-010101010101 --reveal --private-key archive.private --reason 'case 4711'

To reveal takes a login that is a member of llm_audit_content_reader, the organisation's private key and the key store.
Exit codes: 0 shown, 2 a flag cannot be used or the role may not, 3 database unreachable, 9 content cannot be opened,
10 there is no such entry, or no content to reveal.
"""


@click.command(epilog=_EXAMPLES)
@click.argument("request_id", type=click.UUID)
@dsn_option
@click.option(
    "--reveal", "revealing", is_flag=True, help="Decrypt its content. That you looked is recorded first."
)
@click.option(
    "--private-key",
    "private_key_files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    envvar="LLM_AUDIT_CONTENT_PRIVATE_KEY_FILE",
    show_envvar=True,
    help="File of a private key, as `llm-audit content keygen` made it; may be given several times.",
)
@click.option("--reason", default="", help="Why you look; recorded.")
@operator_option
@key_store_option
@json_option
def command(
    request_id: UUID,
    dsn: str,
    *,
    revealing: bool,
    private_key_files: Sequence[Path],
    reason: str,
    operator: str,
    key_store: str | None,
    as_json: bool,
) -> None:
    """Show one entry and what is kept of its content; with --reveal the content itself."""
    with opened(dsn) as database:
        found = dict(entry(database, str(request_id)))
        facts = content_facts(database, str(request_id))
        content = None
        if revealing:
            private_keys = _private_keys(private_key_files)
            if not key_store:
                raise ConfigurationError(
                    "content cannot be opened without its user's key",
                    "name the key store: --key-store or LLM_AUDIT_KEY_STORE_DSN",
                )
            stored = open_content(database, str(request_id), operator=operator, reason=reason)
            content = _revealed(stored, private_keys, key_store, dsn)
    if as_json:
        shown: dict[str, Any] = {"entry": found, "content": facts}
        if content is not None:
            shown["revealed"] = content
        click.echo(json.dumps(shown, default=plain, ensure_ascii=False))
        return
    _print(found, facts, content)


def _private_keys(files: Sequence[Path]) -> dict[str, ContentKey]:
    if not files:
        raise ConfigurationError(
            "content cannot be opened without the organisation's private key",
            "name its file: --private-key FILE",
        )
    keys = [read_key(each) for each in files]
    return {key.key_id: key for key in keys}


def _revealed(
    stored: Sequence[StoredContent], private_keys: Mapping[str, ContentKey], key_store: str, dsn: str
) -> dict[str, object]:
    """Part to content.

    Raises:
        NothingFoundError: nothing is stored of it.
        ContentUnreadableError: a key is gone or does not fit.
    """
    if not stored:
        raise NothingFoundError(
            "nothing is stored of this request's content",
            "it was not kept, has not arrived, or has expired; the entry's content_mode says what was meant",
        )
    keys = open_key_store(key_store, dsn)
    try:
        content: dict[str, object] = {}
        for each in stored:
            key = keys.key(each.key_id)
            if key is None:
                raise ContentUnreadableError(
                    f"the user's key {each.key_id} is gone",
                    "this user was erased, or this is another key store",
                )
            content[each.part] = reveal(each, key, private_keys)
        return content
    finally:
        keys.close()


def _print(
    found: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], content: Mapping[str, object] | None
) -> None:
    console = screen()
    rows = [{"field": name, "value": plain(value)} for name, value in found.items() if value is not None]
    console.print(table(("field", "value"), rows))
    if facts:
        console.print(table(_FACTS, to_the_second(facts), title="Content"))
    else:
        click.echo("No content is stored.")
    for part, value in (content or {}).items():
        click.echo(f"\n{part}:")
        for line in json.dumps(value, ensure_ascii=False, indent=2).split("\n"):
            click.echo(printable(line))
