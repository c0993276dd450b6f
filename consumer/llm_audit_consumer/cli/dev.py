"""``llm-audit dev``: the embedded stack, kept up while you develop."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import click

from llm_audit_consumer.cli.options import DSN_VARIABLE
from llm_audit_consumer.embedded.choose import Preference
from llm_audit_consumer.embedded.stack import EmbeddedStack

_CHECK_SECONDS = 1.0


@click.command(
    epilog="Examples:\n\n  llm-audit dev\n\n  llm-audit dev --folder /tmp/audit --broker mock",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".llm-audit/dev"),
    show_default=True,
    envvar="LLM_AUDIT_DEV_FOLDER",
    show_envvar=True,
    help="Where the data lives; the database survives restarts.",
)
@click.option(
    "--broker",
    type=click.Choice(["auto", "kafka", "mock"]),
    default="auto",
    show_default=True,
    help="Real Kafka (needs Java 17 and Maven) or librdkafka's mock broker, which keeps nothing over a restart.",
)
def command(folder: Path, broker: Preference) -> None:
    """Keep a broker, a PostgreSQL and the consumer up on this machine until Ctrl-C.

    Writes the variables that a service needs to write its entries here to a file, ready to read into a shell.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with EmbeddedStack(folder, broker=broker, say=click.echo) as stack:
        variables = _write_variables(
            folder / "variables.sh", {**stack.producer_environment(), DSN_VARIABLE: stack.dsn}
        )
        click.echo(
            f"\nFor your service and for llm-audit report, in another shell:\n\n  . {shlex.quote(str(variables))}\n"
        )
        click.echo("Ctrl-C stops everything.")
        while not stopping.wait(_CHECK_SECONDS):
            if not stack.consumer_running:
                raise click.ClickException(f"the consumer ended; its log is {folder / 'consumer.log'}")
        click.echo("Stopping.")


def _write_variables(path: Path, variables: Mapping[str, str]) -> Path:
    """A file to read into a shell. It holds the database's password, so only its owner may read it."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        for name, value in variables.items():
            file.write(f"export {name}={shlex.quote(value)}\n")
    return path
