"""`python -m tests.retention.killed DSN POLICIES AS_OF CHECKPOINT`: a run that is killed at a checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from pathlib import Path

from llm_audit_consumer.retention.policies import load
from llm_audit_consumer.retention.running import RetentionRun
from llm_audit_consumer.store.postgres import Database
from tests.retention.log import SETTINGS


def main(dsn: str, policy_file: str, as_of: str, place: str) -> None:
    def checkpoint(name: str) -> None:
        if name == place:
            os.kill(os.getpid(), signal.SIGKILL)

    database = Database(dsn, application_name="killed")
    run = RetentionRun(
        database, load(Path(policy_file)), datetime.fromisoformat(as_of), SETTINGS, checkpoint=checkpoint
    )
    run.apply(run.plan())


if __name__ == "__main__":
    main(*sys.argv[1:])
