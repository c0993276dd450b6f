"""``llm-audit dev``: the embedded stack, kept up while you develop."""

from __future__ import annotations

import shlex
import signal
import threading
from pathlib import Path

import click

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

    Prints the variables that a service needs to write its entries here, ready to paste into a shell.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with EmbeddedStack(folder, broker=broker, say=click.echo) as stack:
        click.echo("\nFor your service:")
        for name, value in stack.producer_environment().items():
            click.echo(f"  export {name}={shlex.quote(value)}")
        click.echo("For llm-audit report, migrate ... (holds a password; keep it in this shell):")
        click.echo(f"  export LLM_AUDIT_POSTGRES_DSN={shlex.quote(stack.dsn)}")
        click.echo(f"Metrics: {stack.metrics_url}\n\nCtrl-C stops everything.")
        while not stopping.wait(_CHECK_SECONDS):
            if not stack.consumer_running:
                raise click.ClickException(f"the consumer ended; its log is {folder / 'consumer.log'}")
        click.echo("Stopping.")
