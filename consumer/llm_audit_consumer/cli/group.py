"""The command group: names its subcommands, and turns our errors into a message, a hint and an exit code."""

from __future__ import annotations

import importlib
import sys

import click

from llm_audit_consumer.errors import AuditConsumerError
from llm_audit_schemas.errors import ContractError

_COMMANDS = {
    "consume": "Run the daemon that batches entries from Kafka into PostgreSQL.",
    "demo": "Run the whole trail once on an embedded stack and show what it recorded.",
    "dev": "Keep an embedded stack up for development.",
    "migrate": "Bring the database's tables up to date.",
    "report": "Answer the auditor's questions: cost, anomalies, errors.",
    "topic": "Create the topics, or check that they are as they must be.",
}


class _LazyGroup(click.Group):
    """Loads a subcommand's module only when it is run, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"llm_audit_consumer.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


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
