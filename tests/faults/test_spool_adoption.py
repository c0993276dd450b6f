"""What a kill at the right instant showed of the spool, held without a kill."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from llm_audit_producer import AuditLogger, MemorySink
from llm_audit_producer.spool import SpoolDirectory
from llm_audit_producer.spool.source import Source
from tests.producer.sinks import Ledger, entries
from tests.spool.parts import RefusingSink, spooling

pytestmark = pytest.mark.faults


def test_the_own_file_is_not_forgotten_though_it_is_made_while_others_are_adopted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking, made = threading.Event(), threading.Event()
    adopt = SpoolDirectory.adopt

    def slow_adopt(directory: SpoolDirectory) -> dict[str, Source]:
        adopted = adopt(directory)
        looking.set()
        assert made.wait(10)
        return adopted

    monkeypatch.setattr(SpoolDirectory, "adopt", slow_adopt)
    behind = MemorySink()
    sink = spooling(behind, tmp_path)
    sink.open(Ledger())
    given = entries(5)
    assert looking.wait(10)
    for one in given:
        sink.append(one)
    made.set()
    assert sink.flush(10) == 0
    assert list(behind.entries) == given
    sink.close(10)


def test_the_last_word_of_a_service_that_ends_is_sent(tmp_path: Path) -> None:
    """However soon after it the sink is closed: without it the end of the service looks like a kill."""
    for number in range(20):
        behind = RefusingSink(lambda _entry: None)
        audit = AuditLogger(behind, durability="spool", spool_directory=tmp_path / str(number))
        audit.log_request("ada", "claude-opus-4-8")
        assert audit.close() == 0
        assert [marker.kind for marker in behind.marks] == ["started", "ended"]
