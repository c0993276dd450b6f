"""What the daemon has to do from time to time, beside its loop and apart from it: months ahead, retention.

A thread of its own, whose tasks open connections of their own: a task that fails is logged, counted and tried again at
its next turn, and holds up neither the entries nor the other tasks for longer than it takes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from llm_audit_consumer.errors import AuditConsumerError, RetentionIncompleteError
from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.retention.running import RunSettings, run_once
from llm_audit_consumer.store import AuditStore
from llm_audit_consumer.store.content_store import create_content_partitions
from llm_audit_consumer.store.postgres import Database

logger = structlog.get_logger(__name__)

MONTHS_AHEAD = timedelta(days=62)
MONTHS_EVERY_SECONDS = 6 * 3600.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do again and again.

    Attributes:
        name: Shown in logs, and a metric's label.
        every_seconds: From one turn's end to the next one's start.
        work: Does it.
        first_after_seconds: How long after the start it is done for the first time.
    """

    name: str
    every_seconds: float
    work: Callable[[], None]
    first_after_seconds: float = 0.0


class Housekeeping:
    """Does its tasks in a thread until it is stopped.

    Args:
        tasks: What to do.
        registry: Where its metrics are registered.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        registry: CollectorRegistry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._due = {task: clock() + task.first_after_seconds for task in tasks}
        self._failures = Counter(
            "llm_audit_housekeeping_failures",
            "Turns of a periodic task that failed; each is tried again at its next turn.",
            ["task"],
            registry=registry,
        )
        self._last_success = Gauge(
            "llm_audit_housekeeping_last_success_timestamp_seconds",
            "When a periodic task last did what it had to; seconds since 1970.",
            ["task"],
            registry=registry,
        )
        for task in tasks:
            self._failures.labels(task.name)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llm-audit-housekeeping", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the task under way; one that takes longer than ten seconds is left to the process's end.

        Every task may be cut off at any moment: it works in transactions, and its next turn goes on.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while self._due:
            task = min(self._due, key=lambda each: self._due[each])
            if self._stopping.wait(max(0.0, self._due[task] - self._clock())):
                return
            self._do(task)
            self._due[task] = self._clock() + task.every_seconds

    def _do(self, task: Task) -> None:
        try:
            task.work()
        except AuditConsumerError as error:
            self._failures.labels(task.name).inc()
            logger.warning("a periodic task failed", task=task.name, error=str(error), hint=error.hint)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other tasks go on, and it is counted
            self._failures.labels(task.name).inc()
            kind = type(error).__name__
            logger.error("a periodic task failed", task=task.name, error=kind)  # noqa: TRY400 - a traceback may quote a row
        else:
            self._last_success.labels(task.name).set(time.time())


def months_task(dsn: str, ahead: timedelta = MONTHS_AHEAD) -> Task:
    """Makes the months ahead, of the log and of its content; the writer may."""

    def work() -> None:
        through = (datetime.now(UTC) + ahead).date()
        with closing(AuditStore(dsn, application_name="llm-audit-housekeeping")) as store:
            made = store.create_partitions(through)
        with closing(Database(dsn, application_name="llm-audit-housekeeping")) as database:
            made += create_content_partitions(database, through)
        if made:
            logger.info("months made", partitions=made, through=through.isoformat())

    return Task("months", MONTHS_EVERY_SECONDS, work)


def retention_task(dsn: str, policies: Policies, every_hours: float, first_after_seconds: float) -> Task:
    """Lets expire what the policies say.

    Args:
        dsn: Connection string of a member of ``llm_audit_retention``; the daemon's own role must not be one.
        policies: Those in force.
        every_hours: From one run to the next.
        first_after_seconds: Before the first; several daemons that start together should differ.
    """

    def work() -> None:
        try:
            outcome = run_once(dsn, policies, datetime.now(UTC), RunSettings("llm-audit consume"))
        except RetentionIncompleteError as error:
            logger.info("retention is another's turn", why=str(error))
            return
        logger.info(
            "retention done", run_id=str(outcome.run_id), rows=outcome.rows, months=len(outcome.months)
        )
        for name in outcome.plan.without_policy:
            logger.warning(
                "a retention class has no policy; its rows are kept for ever", retention_class=name
            )
        if outcome.postponed:
            raise RetentionIncompleteError(
                f"{len(outcome.postponed)} steps were put off: a long query held the log",
                "the next run tries again",
            )

    return Task("retention", every_hours * 3600.0, work, first_after_seconds)
