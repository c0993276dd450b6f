"""What a run of the fault suite counted: the numbers that the README publishes."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figures:
    """Counts of one run.

    Attributes:
        seed: Reproduces the choice of faults.
        nodes: Kafka nodes.
        kills: kill -9 by what was killed.
        others: Every other fault by its name.
        rounds: Rounds that ended with a verdict.
        calls: Calls that returned, by mode.
        unavailable: Calls that raised AuditUnavailable.
        rows: Rows in the log at the end.
        missing: Entries of calls that returned under spool or strict, and are not in the log.
        doubled: Calls that have more than one row.
        unreturned_rows: Rows of calls that were under way when their service was killed.
        lost_in_memory: Entries that died with a killed memory service.
        counted_lost: Entries that services themselves counted as lost.
        duplicates_dropped: Messages read from Kafka whose entry was in the log already.
        dead_letters: Messages that could not become rows.
        verdicts: What completeness says at the end of every service's life, by mode and kind of end.
    """

    seed: int
    nodes: int
    kills: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    unavailable: int = 0
    rows: int = 0
    missing: int = 0
    doubled: int = 0
    unreturned_rows: int = 0
    lost_in_memory: int = 0
    counted_lost: int = 0
    duplicates_dropped: int = 0
    dead_letters: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def kill_count(self) -> int:
        return self.kills.total()

    def as_json(self) -> dict[str, Any]:
        """Everything, with the seconds that it took so far."""
        kept = {name: value for name, value in vars(self).items() if name != "started_at"}
        return {**kept, "kills_total": self.kill_count, "seconds": round(time.monotonic() - self.started_at)}

    def line(self) -> str:
        """One line of progress."""
        return (
            f"faults: seed {self.seed}, {self.nodes} node(s), round {self.rounds}: {self.kill_count} kills "
            f"({_counts(self.kills)}), {self.others.total()} other faults, {self.calls.total()} calls, "
            f"{self.rows} rows, {self.missing} missing, {self.doubled} doubled, "
            f"{self.duplicates_dropped} duplicates dropped, {self.dead_letters} dead letters, "
            f"{time.monotonic() - self.started_at:.0f} s"
            + (f"; completeness: {_counts(self.verdicts)}" if self.verdicts else "")
        )

    def write(self, path: Path) -> None:
        """Put it into a file, one JSON object for each kind of cluster."""
        kept = json.loads(path.read_text()) if path.exists() else {}
        kept[f"{self.nodes}-node"] = self.as_json()
        path.write_text(json.dumps(kept, indent=2) + "\n")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
