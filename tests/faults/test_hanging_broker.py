"""A broker that accepts connections and never answers costs a caller nothing beyond its deadline."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_audit_producer import AuditLogger, AuditUnavailable
from llm_audit_schemas.kafka_connection import KafkaConnection
from tests.faults.proxy import Proxy
from tests.faults.services import MODES, STRICT_UNSPOOLED, Mode

pytestmark = pytest.mark.faults

_DEADLINE = 0.5
_DRAIN = 0.5
_CALLS = 100
_UNNOTICED = 0.05
"""Seconds a call in the middle: a hundred times what it takes on a machine that does nothing else."""
_LONGEST = 1.0
"""Less than any time-out of the Kafka client, also where the machine is busy."""
_FIRST = 5.0


@pytest.fixture
def hanging() -> Iterator[str]:
    with Proxy(lambda: 9) as proxy:
        proxy.hang()
        yield f"127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != STRICT_UNSPOOLED], ids=str)
def test_it_costs_nothing_where_an_entry_is_kept_elsewhere(mode: Mode, hanging: str, tmp_path: Path) -> None:
    audit = logger_for(mode, hanging, tmp_path)
    first, *others = [seconds_of_a_call(audit) for _ in range(_CALLS)]
    assert statistics.median(others) < _UNNOTICED
    assert max(others) < _LONGEST
    assert first < _FIRST, "it loads prices and makes the spool file"
    assert audit.statistics().captured == _CALLS
    assert seconds_to_close(audit) < _DRAIN + 2.0
    left = audit.statistics()
    assert left.left_in_spool + left.lost_total == _CALLS
    assert left.lost_total == (0 if mode.spools else _CALLS), "counted, since memory ends with the process"


def test_a_strict_call_without_a_spool_waits_for_its_deadline_and_no_longer(
    hanging: str, tmp_path: Path
) -> None:
    audit = logger_for(STRICT_UNSPOOLED, hanging, tmp_path)
    begun = time.monotonic()
    with pytest.raises(AuditUnavailable):
        audit.log_request("ada", "claude-opus-4-8")
    assert _DEADLINE <= time.monotonic() - begun < _DEADLINE + 1.0
    assert seconds_to_close(audit) < _DRAIN + 2.0
    assert audit.statistics().lost_total == 1


def logger_for(mode: Mode, bootstrap_servers: str, folder: Path) -> AuditLogger:
    return AuditLogger(
        kafka=KafkaConnection(bootstrap_servers=bootstrap_servers),
        durability=mode.durability,
        spool_directory=folder / "spool" if mode.spools else None,
        strict_seconds=_DEADLINE,
        drain_seconds=_DRAIN,
    )


def seconds_of_a_call(audit: AuditLogger) -> float:
    begun = time.monotonic()
    audit.log_request("ada", "claude-opus-4-8", input_tokens=1, output_tokens=1)
    return time.monotonic() - begun


def seconds_to_close(audit: AuditLogger) -> float:
    begun = time.monotonic()
    audit.close()
    return time.monotonic() - begun
