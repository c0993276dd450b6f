"""The command group: names its subcommands, and turns our errors into a message, a hint and an exit code.

Other packages add commands by an entry point in the group ``llm_audit.commands``, ``name = "module:command"``. The
consumer's own names always mean the consumer's own commands.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import click

from llm_audit_consumer.errors import AuditConsumerError, ConfigurationError
from llm_audit_schemas.errors import ContractError

_COMMANDS = {
    "completeness": "Say whether every producer's entries are all there, and which are missing.",
    "consume": "Run the daemon that batches entries from Kafka into PostgreSQL.",
    "content": "Make keys for encrypted content, and find content without an entry.",
    "dead-letters": "List, show, decode again and delete the messages that became no row.",
    "demo": "Run the whole trail once on an embedded stack and show what it recorded.",
    "dev": "Keep an embedded stack up for development.",
    "erase": "Erase a user: content unreadable everywhere, entries anonymous.",
    "hash": "Find the entries that a known text was part of.",
    "hold": "Place, list and release legal holds.",
    "migrate": "Bring the database's tables up to date.",
    "report": "Answer the auditor's questions: cost, anomalies, errors.",
    "retention": "Let expire what the retention policies say.",
    "show": "Show one entry, and its content for who may.",
    "topic": "Create the topics, or check that they are as they must be.",
}


_CONTRIBUTED = "llm_audit.commands"
_HELP_LIMIT = 120


class _LazyGroup(click.Group):
    """Loads a subcommand's module only when it is run, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted({*_COMMANDS, *_contributed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name in _COMMANDS:
            module = importlib.import_module(f"llm_audit_consumer.cli.{cmd_name.replace('-', '_')}")
            command: click.Command = module.command
            return command
        contributed = _contributed().get(cmd_name)
        return None if contributed is None else _loaded(contributed)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        lines = {name: _help_line(contributed) for name, contributed in _contributed().items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted({**lines, **_COMMANDS}.items()))


@cache
def _contributed() -> Mapping[str, EntryPoint]:
    """Commands of other packages by name; where two have the same, the first one found."""
    found: dict[str, EntryPoint] = {}
    for each in entry_points(group=_CONTRIBUTED):
        if each.name not in _COMMANDS:
            found.setdefault(each.name, each)
    return found


def _loaded(contributed: EntryPoint) -> click.Command:
    """A contributed command.

    Raises:
        ConfigurationError: its package cannot give it.
    """
    try:
        command = contributed.load()
    except Exception as error:
        raise ConfigurationError(
            f"the command {contributed.name!r} cannot be loaded from {contributed.value}: {error}",
            "reinstall or remove the package that adds it",
        ) from error
    if not isinstance(command, click.Command):
        raise ConfigurationError(
            f"the command {contributed.name!r} is no click command: {contributed.value} is a {type(command).__name__}",
            "correct or remove the package that adds it",
        )
    return command


def _help_line(contributed: EntryPoint) -> str:
    """What a contributed command says of itself; one that is broken must not take the help of the others away."""
    try:
        return _loaded(contributed).get_short_help_str(_HELP_LIMIT)
    except ConfigurationError as error:
        return f"({error})"


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="llm-audit-log", prog_name="llm-audit")
def cli() -> None:
    """The audit trail for LLM calls: who asked what, when, and what did the model respond?"""


def run() -> None:
    """Run the command line; our own errors end it with their message, hint and exit code."""
    try:
        cli()
    except AuditConsumerError as error:
        _say(str(error), error.hint)
        sys.exit(error.exit_code)
    except ContractError as error:
        _say(str(error), "")
        sys.exit(2)


def _say(message: str, hint: str) -> None:
    click.echo(f"llm-audit: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
