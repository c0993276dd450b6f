"""Recorded traffic through the whole real trail: the SDK, Kafka, the consumer daemon, PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.replay.__main__ import compare
from tests.replay.expectations import expected
from tests.replay.recordings import UnreadableRecordingError, read_recordings
from tests.replay.rows import Row
from tests.replay.synthetic import write_recordings

ROOT = Path(__file__).parents[2]
RECORDED = Path(
    os.environ.get("LLM_AUDIT_RECORDINGS", ROOT.parent / "shared" / "recordings" / "anthropic.jsonl")
)
DEADLINE_SECONDS = 240


def run_replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.replay", *map(str, arguments)],
        check=False,  # the exit code is what is tested
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )


def test_a_file_it_has_never_seen_passes(tmp_path: Path) -> None:
    file, rows_file = tmp_path / "own.jsonl", tmp_path / "rows.jsonl"
    count = write_recordings(file)
    run = run_replay(file, "--rows", rows_file)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = [json.loads(line) for line in rows_file.read_text().splitlines()]
    assert {row["recording"] for row in rows} == {
        each.id for each in read_recordings(file) if each.is_message
    }
    assert len(rows) == count
    by_name = {row["recording"]: row for row in rows}
    assert by_name["plain"]["cache_write_1h_tokens"] == 4
    assert by_name["bare-usage"]["cache_read_tokens"] is None
    assert by_name["unknown-model"]["cost_usd"] is None
    assert by_name["cut-stream"]["status"] == "aborted"
    assert by_name["broken-stream"]["status"] == "error"


@pytest.mark.skipif(not RECORDED.exists(), reason=f"the recorded API traffic is not here: {RECORDED}")
@pytest.mark.parametrize("client", ["sync", "async"])
def test_every_recorded_call_becomes_the_row_its_bytes_say(client: str) -> None:
    run = run_replay(RECORDED, "--client", client)
    assert run.returncode == 0, run.stdout + run.stderr


def true_rows(file: Path) -> list[Row]:
    return [{"recording": each.id, **expected(each)} for each in read_recordings(file) if each.is_message]


def test_every_difference_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    write_recordings(file)
    recordings = [each for each in read_recordings(file) if each.is_message]
    rows = true_rows(file)
    assert compare(recordings, rows) == []
    rows[0]["output_tokens"] = 41
    lost = rows.pop(1)
    doubled = dict(rows[1])
    found = compare(recordings, [*rows, doubled, {**doubled, "recording": "stray"}])
    assert f"{rows[0]['recording']}: output_tokens is 41, the recording says 40" in found
    assert f"{lost['recording']}: 0 rows, there must be one" in found
    assert f"{doubled['recording']}: 2 rows, there must be one" in found
    assert "'stray': 1 rows that belong to no recording" in found
    assert len(found) == 4


def test_a_file_that_holds_no_recordings_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"id": 1}\n')
    with pytest.raises(UnreadableRecordingError, match="line 1"):
        list(read_recordings(file))
    run = run_replay(file)
    assert run.returncode == 2
    assert "line 1" in run.stderr
