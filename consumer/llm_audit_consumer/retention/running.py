"""A run of retention: does what the plan says, in small transactions that each record what they did.

Invariants:

- Every change is committed together with its record in ``llm_audit_retention_action``.
- A run that is cut off anywhere leaves nothing to repair: what it had done is recorded, and the next run finds by
  surveying the log what is left. A month that was taken out of the log, but not dropped, is dropped by the next run.
- Nothing waits for a lock for longer than ``lock_timeout_ms``, because every insert would queue behind it. Where
  somebody's long query holds a month up, the run goes on with the rest and says what it put off.
- A row under a legal hold is not touched. A hold that is placed during a run counts from its next transaction on.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from llm_audit_consumer.errors import ConfigurationError, DatabaseBusyError, RetentionIncompleteError
from llm_audit_consumer.retention.log_partitions import LogPartition, log_partitions
from llm_audit_consumer.retention.planning import (
    DROP_MONTH,
    ROLE_HINT,
    Plan,
    Step,
    cutoffs,
    make_plan,
    row_group,
    usable,
)
from llm_audit_consumer.retention.policies import Policies
from llm_audit_consumer.retention.sql import statement
from llm_audit_consumer.store.postgres import Database

_RETIRED, _OURS = "llm_audit_retired_", "llm_audit_"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes about it.

    Attributes:
        operator: Who has it done; recorded.
        batch_rows: Most rows that one transaction changes.
        lock_timeout_ms: Longest that a statement waits for a lock, and with it an insert behind that statement.
        patience_seconds: How long one month is tried again before it is put off.
        retry_seconds: Pause between two tries.
    """

    operator: str
    batch_rows: int = 5_000
    lock_timeout_ms: int = 200
    patience_seconds: float = 30.0
    retry_seconds: float = 1.0


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes:
        run_id: Its identity in the records.
        plan: What it was to do.
        rows: Action to number of rows.
        months: Months dropped.
        postponed: Steps that a lock kept it from; the next run tries them again.
    """

    run_id: uuid.UUID
    plan: Plan
    rows: dict[str, int] = field(default_factory=dict)
    months: list[str] = field(default_factory=list)
    postponed: list[Step] = field(default_factory=list)


Report = Callable[[Step, int], None]
Checkpoint = Callable[[str], None]


def _unreported(_step: Step, _rows: int) -> None:
    """Tells nobody."""


def _pass(_name: str) -> None:
    """Nothing happens between two steps."""


class RetentionRun:
    """One run over one connection.

    Args:
        database: An open connection of a member of ``llm_audit_retention``, not behind a transaction pooler.
        policies: Those in force.
        as_of: The moment to judge by, aware; not in the future, or what has yet to expire would go.
        settings: How to go about it.
        report: Told how many rows each transaction changed.
        checkpoint: Called between any two transactions, with a name; tests cut the run off there.
        wait: Pauses for so many seconds.
    """

    def __init__(
        self,
        database: Database,
        policies: Policies,
        as_of: datetime,
        settings: RunSettings,
        *,
        report: Report = _unreported,
        checkpoint: Checkpoint = _pass,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._database = database
        self._policies = policies
        self._as_of = as_of
        self._settings = settings
        self._report = report
        self._checkpoint = checkpoint
        self._wait = wait
        self._run_id = uuid.uuid4()
        self._tries = max(1, round(settings.patience_seconds / settings.retry_seconds))

    def plan(self) -> Plan:
        """Take this run's turn, finish what an earlier run left, and survey the log.

        Raises:
            RetentionIncompleteError: another run is at work.
            ConfigurationError: a policy is incomplete, or the role may not do this.
        """
        self._take_turn()
        for name in self._retired_months():
            self._drop_retired(name, None)
        return make_plan(self._database, self._policies, self._as_of)

    def apply(self, plan: Plan) -> Outcome:
        """Do what the plan says.

        Raises:
            DatabaseUnavailableError: the database went away; run again.
            ConfigurationError: the role may not do this.
        """
        outcome = Outcome(self._run_id, plan)
        for step in plan.steps:
            try:
                rows = self._drop_month(step) if step.action == DROP_MONTH else self._change_rows(step)
            except DatabaseBusyError:
                outcome.postponed.append(step)
                continue
            outcome.rows[step.action] = outcome.rows.get(step.action, 0) + rows
            if step.action == DROP_MONTH:
                outcome.months.append(step.partition.name)
        return outcome

    def _take_turn(self) -> None:
        with self._database.transaction():
            taken = self._database.rows(statement("take_turn"))[0]["taken"]
        if not taken:
            raise RetentionIncompleteError("another run of retention is at work", "run again when it is over")

    def _change_rows(self, step: Step) -> int:
        """Delete or clear rows, a bounded number in each transaction."""
        with self._transaction():
            action = self._open_action(step.action, step.partition, step)
        self._checkpoint(f"opened {step.action}")
        total, finished = 0, False
        page = {
            "first_id": str(step.partition.first_id),
            "last_id": str(step.partition.last_id),
            "retention_class": step.retention_class,
            "expired_before": step.expired_before,
            "batch_rows": self._settings.batch_rows,
        }
        while not finished:
            with self._transaction():
                self._database.rows(statement("hold_off_holds"))
                found = self._database.rows(statement(step.action), page)[0]
                rows = int(found["rows"])
                finished = rows < self._settings.batch_rows
                self._add_to_action(action, rows, finished=finished)
            self._checkpoint(step.action)
            self._report(step, rows)
            total, page["first_id"] = total + rows, found["last_id"]
        return total

    def _drop_month(self, step: Step) -> int:
        """Take a month out of the log, and drop it with what has expired."""
        which = {"log": step.partition.log, "month": step.partition.month}
        if self._oldest_month(step.partition.log) == step.partition.name:
            # So that widening what lies before over this month need not read it under a lock.
            self._patiently(lambda: self._database.rows(statement("bound_before"), which))
            self._checkpoint("bounded")
            self._patiently(lambda: self._database.rows(statement("validate_before"), which))
            self._checkpoint("validated")
        done = self._patiently(lambda: self._database.rows(statement("retire_month"), which))
        retired = str(done[0]["name"])
        self._checkpoint("retired")
        rows = self._drop_retired(retired, step.partition)
        self._report(step, rows)
        return rows

    def _drop_retired(self, name: str, partition: LogPartition | None) -> int:
        """Drop a month that is no longer in the log; an earlier run may have left it."""
        if partition is None:
            partition = LogPartition.of_month(name.replace(_RETIRED, _OURS))
        moments = cutoffs(self._policies, self._as_of)
        parameters = {
            "retired": name,
            "classes": moments["classes"],
            "expired_before": moments[f"{row_group(partition)}_before"],
        }
        with self._transaction():
            self._database.rows(statement("hold_off_holds"))
            action = self._open_action(DROP_MONTH, partition, None)
            done = self._database.rows(statement("drop_retired"), parameters)[0]
            self._add_to_action(action, done["dropped"], finished=True)
        self._checkpoint("dropped")
        return int(done["dropped"])

    def _patiently(self, work: Callable[[], list[dict[str, object]]]) -> list[dict[str, object]]:
        """Do it as soon as nobody's lock is in the way, trying again for as long as the settings say.

        Raises:
            DatabaseBusyError: there was no such moment.
        """
        for left in reversed(range(self._tries)):
            try:
                with self._transaction():
                    return work()
            except DatabaseBusyError:
                if not left:
                    self._tries = 1  # whoever is in the way here is in the way of the other months too
                    raise
                self._wait(self._settings.retry_seconds)
        raise AssertionError("unreachable: the last try returns or raises")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._database.transaction():
                self._database.rows(statement("begin"), {"lock_timeout_ms": self._settings.lock_timeout_ms})
                yield
        except ConfigurationError as error:
            raise ConfigurationError(str(error), ROLE_HINT) from None

    def _open_action(self, action: str, partition: LogPartition, step: Step | None) -> int:
        known = usable(self._policies)
        policy = (
            {name: each.described() for name, each in known.items()}
            if step is None or step.retention_class is None
            else known[step.retention_class].described()
        )
        row = {
            "run_id": str(self._run_id),
            "operator": self._settings.operator,
            "as_of": self._as_of,
            "action": action,
            "partition": partition.name,
            "retention_class": step and step.retention_class,
            "expired_before": step and step.expired_before,
            "policy": json.dumps(policy),
            "first_id": str(partition.first_id),
            "last_id": str(partition.last_id),
        }
        return int(self._database.rows(statement("open_action"), row)[0]["action_id"])

    def _add_to_action(self, action_id: int, rows: int, *, finished: bool) -> None:
        self._database.execute(
            statement("add_to_action"), {"action_id": action_id, "rows": rows, "finished": finished}
        )

    def _oldest_month(self, log: str) -> str | None:
        with self._database.transaction():
            months = [each.name for each in log_partitions(self._database, log) if each.month is not None]
        return months[0] if months else None

    def _retired_months(self) -> list[str]:
        with self._database.transaction():
            return [row["name"] for row in self._database.rows(statement("retired_months"))]


def run_once(
    dsn: str, policies: Policies, as_of: datetime, settings: RunSettings, *, report: Report = _unreported
) -> Outcome:
    """Plan and apply over a connection of its own.

    Raises:
        RetentionIncompleteError: another run is at work.
        ConfigurationError: a policy is incomplete, or the role may not do this.
        DatabaseUnavailableError: the database does not answer.
    """
    with closing(Database(dsn, application_name="llm-audit-retention")) as database:
        run = RetentionRun(database, policies, as_of, settings, report=report)
        return run.apply(run.plan())
