"""The development sink: files by UTC day, questions by real time, torn lines, several processes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from llm_audit_producer import AuditLogger, AuditSettingsError, FileAuditStorage
from llm_audit_producer.errors import SinkError
from tests.producer.sinks import NOON, Ledger, entries, entry

TOKYO = timezone(timedelta(hours=9))
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> FileAuditStorage:
    made = FileAuditStorage(tmp_path / "audit")
    made.open(Ledger())
    return made


def lines_of(storage: FileAuditStorage) -> dict[str, int]:
    return {path.name: len(path.read_bytes().splitlines()) for path in storage._directory.iterdir()}


def test_an_entry_lies_in_the_file_of_its_calls_utc_day(storage: FileAuditStorage) -> None:
    before, after = MIDNIGHT - timedelta(microseconds=1), MIDNIGHT
    for sequence, at in enumerate(
        (before, after, before)
    ):  # a call that began before midnight may end after others
        storage.append(entry(sequence, at))
    assert lines_of(storage) == {"llm-audit-2026-11-20.jsonl": 2, "llm-audit-2026-11-21.jsonl": 1}


def test_only_the_owner_can_read(storage: FileAuditStorage) -> None:
    storage.append(entry())
    assert storage._directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in storage._directory.iterdir()} == {0o600}


def test_questions_are_about_moments_whatever_their_time_zone(storage: FileAuditStorage) -> None:
    for number in range(96):  # every half hour of two days around midnight
        at = MIDNIGHT + timedelta(minutes=30 * (number - 48))
        storage.append(entry(number, at, user_id=f"u-{number % 2}"))

    def asked(**question: object) -> list[int]:
        return [found.sequence for found in storage.query(**question)]  # type: ignore[arg-type]  # as the test says

    assert asked() == list(range(96))
    assert asked(start=MIDNIGHT) == list(range(48, 96))
    assert asked(end=MIDNIGHT) == list(range(48))
    assert asked(start=MIDNIGHT.astimezone(TOKYO), end=(MIDNIGHT + timedelta(hours=1)).astimezone(TOKYO)) == [
        48,
        49,
    ]
    assert asked(
        start=datetime(2026, 11, 21, 8, 30, tzinfo=TOKYO), end=datetime(2026, 11, 21, 9, tzinfo=TOKYO)
    ) == [47]
    assert asked(start=MIDNIGHT - timedelta(hours=1), end=MIDNIGHT + timedelta(hours=1), user_id="u-1") == [
        47,
        49,
    ]
    assert asked(start=MIDNIGHT, end=MIDNIGHT) == []
    assert asked(user_id="nobody") == []


def test_a_time_without_a_zone_is_refused_at_once(storage: FileAuditStorage) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match=r"start .* has no timezone"):
        storage.query(start=naive)
    with pytest.raises(ValueError, match=r"end .* has no timezone"):
        storage.query(end=naive)


@pytest.mark.parametrize(
    "torn", [b'{"request_id": "01', b"5\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b"{}\n", b"null\n"]
)
def test_a_torn_line_is_skipped_with_a_warning_and_takes_no_other_with_it(
    torn: bytes, storage: FileAuditStorage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.append(entry(0))
    storage.close(0)
    (path,) = storage._directory.iterdir()
    with path.open("ab") as file:
        file.write(torn)
    second = FileAuditStorage(storage._directory)
    second.open(Ledger())
    second.append(entry(1))
    with caplog.at_level(logging.WARNING):
        assert [found.sequence for found in second.query()] == [0, 1]
    assert f"{path} has 1 line(s)" in caplog.text


def test_a_disk_that_fills_up_loses_that_entry_only(
    storage: FileAuditStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.append(entry(0))
    real = os.write
    room = [40]

    def write(descriptor: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(SinkError, match="No space left") as caught:
            storage.append(entry(1))
        assert caught.value.reason == "disk"
    storage.append(entry(2))
    assert [found.sequence for found in storage.query()] == [0, 2]


WRITER = """
import sys
sys.path[:0] = sys.argv[3:]
from llm_audit_producer import AuditLogger, FileAuditStorage
logger = AuditLogger(FileAuditStorage(sys.argv[1]))
sys.stdin.readline()
for number in range(1000):
    logger.log_request(sys.argv[2], model="m", metadata={"text": "x" * (number * 7 % 5000)})
"""


def test_two_processes_share_a_directory(storage: FileAuditStorage, caplog: pytest.LogCaptureFixture) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, storage._directory, user, *filter(None, sys.path)],
            stdin=subprocess.PIPE,
        )
        for user in ("u-1", "u-2")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    for user in ("u-1", "u-2"):
        assert [found.sequence for found in storage.query(user_id=user)] == list(range(1000))
    assert "were skipped" not in caplog.text


def test_a_directory_that_cannot_be_made_is_named_and_disturbs_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(AuditSettingsError, match="name another"):
        FileAuditStorage(tmp_path / "file" / "audit").open(Ledger())
    logger = AuditLogger(FileAuditStorage(tmp_path / "file" / "audit"))
    logger.log_request(model="m")
    assert logger.close() == 0
    assert logger.statistics().lost == {"sink_unusable": 1}
    assert "name another" in caplog.text


def test_an_empty_or_missing_directory_answers_nothing(tmp_path: Path) -> None:
    assert list(FileAuditStorage(tmp_path / "nowhere").query(NOON)) == []


def test_other_files_in_the_directory_are_left_alone(storage: FileAuditStorage) -> None:
    for one in entries(3):
        storage.append(one)
    for name in ("llm-audit-notes.jsonl", "llm-audit-2026-11-20.jsonl.gz", "other.txt"):
        (storage._directory / name).write_text("nothing of ours\n")
    assert len(list(storage.query(NOON - timedelta(days=1)))) == 3
