"""``llm-audit hash``: the entries that a known text was part of."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

import click

from llm_audit_consumer.cli.content import to_the_second
from llm_audit_consumer.cli.options import dsn_option
from llm_audit_consumer.cli.retention import json_option
from llm_audit_consumer.content.reading import FOUND_COLUMNS, find_text, opened
from llm_audit_consumer.errors import ConfigurationError, NothingFoundError
from llm_audit_consumer.reports.show import plain, screen, table
from llm_audit_consumer.reports.time_range import moment
from llm_audit_schemas import HashKey, canonical
from llm_audit_schemas.content_hash import Part

_FORMS: Mapping[Part, Callable[[object], bytes]] = {
    "system": canonical.canonical_system,
    "input": canonical.canonical_input,
    "output": canonical.canonical_output,
}
_TABLE_ROWS = 1000
_EXAMPLES = """Examples:

  printf 'what is our plan?' | llm-audit hash --keys hash-keys

  llm-audit hash --file answer.txt --kind output --since 'last 90d' --json

  llm-audit hash --file messages.json --structure --kind input

A text is looked for as the whole system prompt, as the one message of an input, and as the one text of an answer;
conversations of several messages are found by their --structure. One line end at the text's end may be there or not.
Exit codes: 0 found, 2 a flag or key cannot be used, 3 database unreachable, 10 nothing found.
"""


@click.command(epilog=_EXAMPLES)
@dsn_option
@click.option(
    "--file", "source", type=click.File("r", encoding="utf-8"), default="-", help="[default: standard input]"
)
@click.option(
    "--kind", type=click.Choice(sorted(_FORMS)), help="What the text was. [default: whichever it was]"
)
@click.option("--structure", is_flag=True, help="The text is JSON: the API's own messages or blocks.")
@click.option(
    "--keys",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="LLM_AUDIT_HASH_KEYS",
    show_envvar=True,
    help="File of every hash key there ever was, a NAME:BASE64-SECRET a line. LLM_AUDIT_HASH_KEY is tried too.",
)
@click.option(
    "--since", default="last 365d", show_default=True, help="From when on: 'last 24h', 2026-11-01. UTC."
)
@click.option("--until", default="now", show_default=True, help="Up to when, not included.")
@click.option("--limit", type=click.IntRange(1), default=_TABLE_ROWS, show_default=True, help="Most entries.")
@json_option
def command(
    dsn: str,
    *,
    source: TextIO,
    kind: str | None,
    structure: bool,
    key_file: Path | None,
    since: str,
    until: str,
    limit: int,
    as_json: bool,
) -> None:
    """Find the entries that a known text was part of, by its hash under every known key."""
    keys = _keys(key_file)
    forms = _forms(source.read(), kind, structure=structure)
    now = datetime.now(UTC)
    with opened(dsn) as database:
        found = find_text(database, keys, forms, moment(since, now), moment(until, now), limit)
    if as_json:
        click.echo(json.dumps(found, default=plain))
    elif found:
        screen().print(table(FOUND_COLUMNS, to_the_second(found)))
    if not found:
        names = ", ".join(key.key_id for key in keys)
        raise NothingFoundError(
            f"no entry from {since} until {until} has this text's hash under {names}",
            "try a longer time, other keys, or the whole conversation with --structure",
        )


def _forms(text: str, kind: str | None, *, structure: bool) -> list[tuple[Part, bytes]]:
    kinds = [cast("Part", kind)] if kind else list(_FORMS)
    if structure:
        try:
            said: list[object] = [json.loads(text)]
        except ValueError as error:
            raise ConfigurationError(
                f"the text is no JSON: {error}", "leave out --structure for plain text"
            ) from error
    else:
        said = [text] if not text.endswith("\n") else [text, text.removesuffix("\n")]
    return [(part, _FORMS[part](each)) for part in kinds for each in said]


def _keys(key_file: Path | None) -> list[HashKey]:
    """Every known key, once.

    Raises:
        ConfigurationError: there is none, or the file cannot be read.
        InvalidHashKeyError: one is no key.
    """
    lines: list[str] = []
    try:
        for path in (key_file, os.environ.get("LLM_AUDIT_HASH_KEY_FILE")):
            if path:
                lines += Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the hash keys cannot be read: {error}") from error
    lines.append(os.environ.get("LLM_AUDIT_HASH_KEY", ""))
    wanted = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not wanted:
        raise ConfigurationError(
            "no hash key is known", "name their file: --keys FILE or LLM_AUDIT_HASH_KEYS"
        )
    return list({key.secret: key for key in map(HashKey.parse, wanted)}.values())
