"""``python -m tests.replay FILE``: recorded traffic through the whole real trail, and each row held to its bytes.

Serves the recordings of FILE over local HTTP to the real SDK, whose calls go through Kafka into PostgreSQL by way of
the real consumer daemon; then compares every row with the recorded bytes. Exits 0 when all agree, 1 naming every
difference, 2 when FILE cannot be used.

"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from llm_audit_consumer.embedded.choose import Preference
from llm_audit_consumer.embedded.stack import EmbeddedStack
from llm_audit_producer import Audit
from tests.replay.drive import ClientKind, replay
from tests.replay.expectations import differences
from tests.replay.recordings import Recording, UnreadableRecordingError, read_recordings
from tests.replay.rows import Row, wait_for_rows

_ROWS_DEADLINE_SECONDS = 60.0


def main() -> int:
    arguments = _arguments()
    console = Console(stderr=True, soft_wrap=True)
    try:
        recordings = list(read_recordings(arguments.file))
    except (OSError, UnreadableRecordingError) as error:
        console.print(f"cannot use {arguments.file}: {error}", markup=False)
        return 2
    chosen = [recording for recording in recordings if recording.is_message]
    others = Counter(recording.endpoint for recording in recordings if not recording.is_message)
    for endpoint, count in others.items():
        console.print(
            f"{count} of {endpoint} are no calls of the Messages API and are left aside", markup=False
        )
    if not chosen:
        console.print(f"{arguments.file} holds no call of /v1/messages", markup=False)
        return 2
    rows = _through_the_trail(chosen, arguments.client, arguments.broker, console)
    if arguments.rows is not None:
        _write_rows(arguments.rows, rows)
    found = compare(chosen, rows)
    for line in found:
        sys.stdout.write(line + "\n")
    streams = sum(recording.is_stream for recording in chosen)
    console.print(f"{len(chosen)} recordings ({streams} streams), {len(rows)} rows, {len(found)} differences")
    return 1 if found else 0


def compare(recordings: list[Recording], rows: list[Row]) -> list[str]:
    """Every difference, in words: rows missing, rows doubled, columns that say something else."""
    by_recording: dict[object, list[Row]] = {}
    for row in rows:
        by_recording.setdefault(row["recording"], []).append(row)
    found: list[str] = []
    for recording in recordings:
        mine = by_recording.pop(recording.id, [])
        if len(mine) != 1:
            found.append(f"{recording.id}: {len(mine)} rows, there must be one")
        for row in mine:
            found += differences(recording, row)
    found += [
        f"{name!r}: {len(strays)} rows that belong to no recording" for name, strays in by_recording.items()
    ]
    return found


def _through_the_trail(
    recordings: list[Recording], kind: ClientKind, broker: Preference, console: Console
) -> list[Row]:
    def say(line: str) -> None:
        console.print(line, markup=False)

    with EmbeddedStack(broker=broker, say=say) as stack:
        os.environ.update(stack.producer_environment())
        audit = Audit(service="replay")
        with Progress(console=console) as progress:
            task = progress.add_task("replaying", total=len(recordings))
            replay(recordings, audit, kind, lambda: progress.advance(task))
        undelivered = audit.close(30.0)
        counted = audit.logger.statistics()
        if undelivered or counted.lost_total:
            say(f"the producer lost entries: {dict(counted.lost)}")
        return wait_for_rows(stack.dsn, len(recordings), _ROWS_DEADLINE_SECONDS)


def _write_rows(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.replay", description=__doc__)
    parser.add_argument("file", type=Path, help="recordings, one JSON object a line")
    parser.add_argument(
        "--rows", type=Path, metavar="OUT.jsonl", help="write every resulting row here, as JSON"
    )
    parser.add_argument(
        "--client", choices=("sync", "async"), default="sync", help="which SDK client to drive"
    )
    parser.add_argument(
        "--broker", choices=("auto", "kafka", "mock"), default="auto", help="which broker to start"
    )
    return parser.parse_args()


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # recordings name models of their day
    sys.exit(main())
