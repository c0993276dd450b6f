"""Options of what the daemon does from time to time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from llm_audit_consumer.cli.retention import policy_option
from llm_audit_consumer.housekeeping import Task, months_task, retention_task
from llm_audit_consumer.retention.policies import load

_FIRST_RETENTION_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Periodic:
    """What the flags asked for.

    Attributes:
        retention_hours: From one run of retention to the next; 0 for none.
        retention_dsn: Connection string for it; ``None`` for the daemon's own.
        policy_file: The operator's policies.
    """

    retention_hours: float
    retention_dsn: str | None
    policy_file: Path | None

    def tasks(self, dsn: str) -> list[Task]:
        """The tasks of a daemon that uses this connection string.

        Raises:
            ConfigurationError: the policy file cannot be used.
        """
        if not self.retention_hours:
            return [months_task(dsn)]
        # Several daemons that start together need not all survey the log at the same moment.
        first = random.uniform(1.0, _FIRST_RETENTION_SECONDS)  # noqa: S311 - no secret
        policies = load(self.policy_file)
        return [
            months_task(dsn),
            retention_task(self.retention_dsn or dsn, policies, self.retention_hours, first),
        ]


def periodic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags; passed on as one ``periodic`` of type :class:`Periodic`."""

    @wraps(command)
    def with_periodic(
        *args: object,
        retention_every: float,
        retention_dsn: str | None,
        policy_file: Path | None,
        **kwargs: Any,
    ) -> object:
        return command(*args, periodic=Periodic(retention_every, retention_dsn, policy_file), **kwargs)

    decorated: Callable[..., Any] = policy_option(with_periodic)
    decorated = click.option(
        "--retention-dsn",
        envvar="LLM_AUDIT_RETENTION_DSN",
        show_envvar=True,
        help="PostgreSQL connection string of a member of llm_audit_retention. [default: --dsn]",
    )(decorated)
    return click.option(
        "--retention-every",
        type=click.FloatRange(0, 24 * 31),
        default=0.0,
        show_default="never",
        envvar="LLM_AUDIT_RETENTION_EVERY",
        show_envvar=True,
        help="Hours from one run of llm-audit retention apply to the next.",
    )(decorated)
