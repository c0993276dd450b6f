"""``llm-audit demo``: the whole trail once, on an embedded stack, and what it recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from llm_audit_consumer.cli.options import DSN_VARIABLE
from llm_audit_consumer.embedded.choose import Preference
from llm_audit_consumer.embedded.stack import EmbeddedStack
from llm_audit_consumer.errors import AuditConsumerError
from llm_audit_consumer.reports.show import plain, screen
from llm_audit_consumer.store.postgres import Database
from llm_audit_consumer.store.sql import statement

_ROWS_DEADLINE_SECONDS = 30.0
_POLL_SECONDS = 0.1
_SHOWN_METRICS = ("llm_audit_consumer_lag_messages", "llm_audit_consumer_rows_total", "llm_audit_calls_total")
_REPORTS = ("cost", "anomalies", "errors")


class DemoFailedError(AuditConsumerError):
    """The demo did not record what its service did."""


@click.command(epilog="Examples:\n\n  llm-audit demo\n\n  ANTHROPIC_API_KEY=... llm-audit demo --live")
@click.option(
    "--live", is_flag=True, help="Ask the real API, with the key in ANTHROPIC_API_KEY; costs a few cents."
)
@click.option(
    "--broker",
    type=click.Choice(["auto", "kafka", "mock"]),
    default="auto",
    show_default=True,
    help="Real Kafka (needs Java 17 and Maven) or librdkafka's mock broker.",
)
def command(*, live: bool, broker: Preference) -> None:
    """Run the whole trail once and show what it recorded.

    Starts a broker, a PostgreSQL and the consumer daemon in a folder of their own, lets a small service hold
    conversations through the real SDK, and shows the rows, three reports and the metrics. Leaves nothing behind.
    """
    if live and not os.environ.get("ANTHROPIC_API_KEY"):
        raise click.UsageError("--live needs your key in the variable ANTHROPIC_API_KEY")
    console = screen()
    with EmbeddedStack(broker=broker, say=lambda line: console.print(f"· {escape(line)}")) as stack:
        captured = _run_service(console, stack, live=live)
        rows = _rows_once_there(stack.dsn, captured)
        console.print(_table(rows))
        for name in _REPORTS:
            console.print(f"\n[bold]llm-audit report {name}[/bold]")
            _run(
                console,
                [sys.executable, "-m", "llm_audit_consumer.cli", "report", name],
                {DSN_VARIABLE: stack.dsn},
            )
        console.print(f"\n[bold]Metrics[/bold], as Prometheus finds them at {stack.metrics_url}")
        for line in _metrics(stack.metrics_url):
            console.print(f"  {escape(line)}")
    console.print(
        "\nEverything is stopped again. To keep such a stack up and ask it more: [bold]llm-audit dev[/bold], then "
        "[bold]llm-audit report --help[/bold] (in a clone: .venv/bin/llm-audit)."
    )


def _run_service(console: Console, stack: EmbeddedStack, *, live: bool) -> int:
    """Let the demo's service hold its conversations, showing progress; returns how many calls it made.

    Raises:
        DemoFailedError: it failed, or lost an entry.
    """
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "llm_audit_producer.demo"]
    service = subprocess.Popen(  # noqa: S603 - our own module
        [*arguments, *(["--live"] if live else [])],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **stack.producer_environment()},
    )
    captured = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("conversations", total=None, last="")
        for said in _lines_of(service):
            if "done" in said:
                last = escape(f"{said['user']} asked {said['model']}: {said['outcome']}")
                progress.update(task, completed=said["done"], total=said["of"], last=last)
            captured = said.get("captured", captured)
    if service.wait() != 0:
        raise DemoFailedError(
            f"the demo's service ended with {service.returncode}", "its own words stand above"
        )
    return captured


def _lines_of(service: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert service.stdout is not None  # noqa: S101 - asked for with PIPE
    with service.stdout:
        for line in service.stdout:
            yield json.loads(line)


def _rows_once_there(dsn: str, count: int) -> list[dict[str, Any]]:
    """The rows, once every call has one.

    Raises:
        DemoFailedError: they did not come in time.
    """
    database = Database(dsn, application_name="llm-audit-demo")
    deadline = time.monotonic() + _ROWS_DEADLINE_SECONDS
    try:
        while True:
            with database.transaction():
                rows = database.rows(statement("latest_calls"))
            if len(rows) == count:
                return rows
            if time.monotonic() > deadline:
                raise DemoFailedError(
                    f"{count} calls were captured, {len(rows)} rows came", "please report this"
                )
            time.sleep(_POLL_SECONDS)
    finally:
        database.close()


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        title="llm_audit_log: who asked what, when, and what came of it", title_justify="left", box=SIMPLE
    )
    for heading in ("when (UTC)", "who", "model", "status", "in", "out", "cost USD", "input hash"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        cells = (
            f"{row['timestamp']:%H:%M:%S}",
            row["user_id"],
            row["model"],
            row["status"],
            row["input_tokens"],
            row["output_tokens"],
            row["cost_usd"],
            row["input_hash"],
        )
        table.add_row(*(escape(plain(cell)) or "-" for cell in cells))
    return table


def _run(console: Console, arguments: list[str], environment: dict[str, str]) -> None:
    """Run one of our own commands, its output on this console."""
    done = subprocess.run(  # noqa: S603 - our own module
        arguments,
        env={**os.environ, **environment, "COLUMNS": str(console.width)},
        capture_output=True,
        text=True,
        check=False,
    )
    console.file.write(done.stdout)
    if done.returncode != 0:
        raise DemoFailedError(
            f"{' '.join(arguments[2:])} ended with {done.returncode}: {done.stderr.strip()}"
        )


def _metrics(url: str) -> list[str]:
    with urllib.request.urlopen(url, timeout=5.0) as page:  # noqa: S310 - our own loopback address
        lines = page.read().decode().splitlines()
    return [line for line in lines if line.startswith(_SHOWN_METRICS)]
