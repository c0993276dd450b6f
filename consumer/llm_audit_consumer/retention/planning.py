"""What has expired: the log is surveyed partition by partition, and the steps follow from what was found.

The survey reads, the rest is pure. Nothing asks what time it is: ``as_of`` is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from llm_audit_consumer.errors import ConfigurationError, SchemaMismatchError
from llm_audit_consumer.retention.log_partitions import CONTENT, LOG, LogPartition, log_partitions
from llm_audit_consumer.retention.policies import GROUPS, Policies, Policy
from llm_audit_consumer.retention.sql import statement
from llm_audit_consumer.store.postgres import Database

DROP_MONTH, DELETE_ROWS, DELETE_CONTENT = "drop_month", "delete_rows", "delete_content"
CLEAR_HASHES, CLEAR_ERRORS = "clear_hashes", "clear_errors"

ROLE_HINT = (
    "connect as a member of llm_audit_retention, or to look, of llm_audit_auditor: "
    "GRANT llm_audit_retention TO your_login"
)
_CLEARING = {"hashes": CLEAR_HASHES, "errors": CLEAR_ERRORS}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one class has in one partition of the log, or of the content.

    Attributes:
        retention_class: The class.
        rows: How many rows.
        metadata: Of these, whole rows that have expired; of the content too.
        hashes: Rows that stay, whose hashes have expired and are still there.
        errors: Rows that stay, whose error message has expired and is still there.
        held: Rows of which something has expired, but a legal hold keeps it.
    """

    retention_class: str
    rows: int
    metadata: int
    hashes: int
    errors: int
    held: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        action: ``drop_month``, ``delete_rows``, ``delete_content``, ``clear_hashes`` or ``clear_errors``.
        partition: Where.
        retention_class: Of which class; ``None`` for a month, which is dropped for all.
        expired_before: What is older has expired; ``None`` for a month.
        rows: How many rows it concerned when it was planned.
    """

    action: str
    partition: LogPartition
    retention_class: str | None
    expired_before: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What retention would do at one moment.

    Attributes:
        as_of: The moment.
        steps: What to do, in order.
        rows: Class to number of rows in the whole log.
        contents: Class to number of rows in its content.
        held: Class to number of rows that would have lost something, but for a legal hold; contents count too.
        without_policy: The classes that no policy covers; their rows are never touched.
    """

    as_of: datetime
    steps: tuple[Step, ...]
    rows: dict[str, int]
    contents: dict[str, int]
    held: dict[str, int]
    without_policy: tuple[str, ...]


def usable(policies: Policies) -> dict[str, Policy]:
    """The policies that say everything they must."""
    return {name: policy for name, policy in policies.items() if not policy.missing}


def make_plan(
    database: Database,
    policies: Policies,
    as_of: datetime,
    surveyed: Callable[[LogPartition, int, int], None] = lambda _partition, _done, _of: None,
) -> Plan:
    """Survey the log and plan.

    Args:
        database: An open connection, as a role that may read the log.
        policies: Those in force.
        as_of: The moment to judge by, aware.
        surveyed: Called after each partition, with how many of how many are done.

    Raises:
        ConfigurationError: the log holds a class whose policy the operator has yet to state, such as ``gdpr``, or the
            role may not read it.
        SchemaMismatchError: there are no tables.
    """
    with database.transaction():
        # Content first: whose it is, and when it was made, its entry says.
        log = log_partitions(database, LOG)
        partitions = log_partitions(database, CONTENT) + log
    if not log:
        raise SchemaMismatchError("table llm_audit_log is missing", "make the tables with: llm-audit migrate")
    found: list[tuple[LogPartition, list[Finding]]] = []
    for done, partition in enumerate(partitions, start=1):
        found.append((partition, _survey(database, partition, policies, as_of)))
        surveyed(partition, done, len(partitions))
    return plan_of(found, policies, as_of)


def plan_of(
    found: Sequence[tuple[LogPartition, Sequence[Finding]]], policies: Policies, as_of: datetime
) -> Plan:
    """The plan that follows from what was found in the partitions, which are in the order of their ids. Pure.

    Raises:
        ConfigurationError: see :func:`make_plan`.
    """
    rows, contents, held = dict[str, int](), dict[str, int](), dict[str, int]()
    for partition, findings in found:
        counted = contents if partition.log == CONTENT else rows
        for each in findings:
            counted[each.retention_class] = counted.get(each.retention_class, 0) + each.rows
            if each.held:
                held[each.retention_class] = held.get(each.retention_class, 0) + each.held
    names = sorted({*rows, *contents})
    _refuse_unstated([policies[name] for name in names if name in policies and policies[name].missing])
    steps: list[Step] = []
    oldest = dict.fromkeys((LOG, CONTENT), True)  # no older month stays
    for partition, findings in found:
        whole = _expires_whole(partition, findings, policies, as_of, oldest=oldest[partition.log])
        if whole:
            steps.append(Step(DROP_MONTH, partition, None, None, sum(each.rows for each in findings)))
        else:
            steps += _steps(partition, findings, policies, as_of)
        oldest[partition.log] &= whole or partition.month is None
    without = tuple(name for name in names if name not in policies)
    return Plan(as_of, tuple(steps), rows, contents, held, without)


def row_group(partition: LogPartition) -> str:
    """The period that says how long a row of this partition is kept."""
    return "content" if partition.log == CONTENT else "metadata"


def cutoffs(policies: Policies, as_of: datetime) -> dict[str, object]:
    """Parameters of the queries: the classes, and for each group the moment before which it has expired."""
    known = usable(policies)
    return {
        "classes": list(known),
        **{f"{group}_before": [policy.before(group, as_of) for policy in known.values()] for group in GROUPS},
    }


def _survey(
    database: Database, partition: LogPartition, policies: Policies, as_of: datetime
) -> list[Finding]:
    parameters = {
        **cutoffs(policies, as_of),
        "first_id": str(partition.first_id),
        "last_id": str(partition.last_id),
    }
    name = "survey_content" if partition.log == CONTENT else "survey"
    try:
        with database.transaction():
            return [Finding(**row) for row in database.rows(statement(name), parameters)]
    except ConfigurationError as error:
        raise ConfigurationError(str(error), ROLE_HINT) from None


def _expires_whole(
    partition: LogPartition, findings: Sequence[Finding], policies: Policies, as_of: datetime, *, oldest: bool
) -> bool:
    """Whether a month can be dropped: nothing in it stays, or it is the oldest and long empty."""
    if partition.month is None:
        return False
    if findings:
        return all(each.metadata == each.rows for each in findings)
    group = row_group(partition)
    kept = [policy for policy in usable(policies).values() if not policy.periods[group].nothing]
    moments = [policy.before(group, as_of) for policy in kept]
    return oldest and any(moment is not None and partition.end <= moment for moment in moments)


def _steps(
    partition: LogPartition, findings: Sequence[Finding], policies: Policies, as_of: datetime
) -> list[Step]:
    steps = []
    for each in findings:
        if each.metadata:
            before = policies[each.retention_class].before(row_group(partition), as_of)
            action = DELETE_CONTENT if partition.log == CONTENT else DELETE_ROWS
            steps.append(Step(action, partition, each.retention_class, before, each.metadata))
        for group, count in (("hashes", each.hashes), ("errors", each.errors)):
            if count:
                before = policies[each.retention_class].before(group, as_of)
                steps.append(Step(_CLEARING[group], partition, each.retention_class, before, count))
    return steps


def _refuse_unstated(unstated: Sequence[Policy]) -> None:
    if unstated:
        policy = unstated[0]
        raise ConfigurationError(
            f"the log holds entries of the class {policy.name!r}, whose policy does not state: "
            f"{', '.join(policy.missing)}",
            f"state them in a policy file ([policies.{policy.name}]), each as "
            '{period = "...", justification = "..."}, and name it with --policy-file',
        )
