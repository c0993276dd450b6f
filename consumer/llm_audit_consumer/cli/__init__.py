"""The ``llm-audit`` command. Each subcommand lives in a module of its own and is loaded when asked for."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of ``llm-audit``."""
    try:
        from llm_audit_consumer.cli.group import run
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich", "structlog", "psycopg2", "prometheus_client"}:
            raise
        sys.stderr.write(
            f"llm-audit: the package {error.name!r} is missing; "
            "install the commands with: pip install 'llm-audit-log[consumer]'\n"
        )
        sys.exit(2)
    run()
