"""The recorder: nothing blocks the caller, nothing is lost in silence, and the book always adds up."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from anthropic import Anthropic

from llm_audit_producer import AuditLogger, AuditSettingsError, MemorySink, messages_api
from llm_audit_producer.errors import SinkError
from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_producer.sinks import DeliveryReports
from llm_audit_schemas import AuditEntry
from tests.producer.conftest import CALL, KEY, ScriptedApi, failing


class HangingSink(MemorySink):
    """Takes entries only once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def append(self, entry: AuditEntry) -> None:
        self.entered.set()
        assert self.let_go.wait(60)
        super().append(entry)


@pytest.fixture
def hanging() -> Iterator[HangingSink]:
    sink = HangingSink()
    yield sink
    sink.let_go.set()


def adds_up(logger: AuditLogger) -> None:
    statistics = logger.statistics()
    assert statistics.captured == statistics.delivered + statistics.lost_total


def test_submitting_never_waits_for_a_sink_that_hangs(hanging: HangingSink) -> None:
    """Were the caller to wait for the sink, this would never get past the first call."""
    logger = AuditLogger(hanging)
    for _ in range(2000):
        logger.log_request(model="m")
    assert hanging.entered.wait(10)
    assert (hanging.entries, logger.statistics().delivered) == ((), 0)
    hanging.let_go.set()
    assert logger.flush(30) == 0
    assert len(hanging.entries) == 2000


def test_a_queue_full_by_entries_is_counted_and_leaves_a_hole(
    hanging: HangingSink, caplog: pytest.LogCaptureFixture
) -> None:
    logger = AuditLogger(hanging, queue_entries=5)
    logger.log_request(model="first")
    assert hanging.entered.wait(10)
    for _ in range(12):
        logger.log_request(model="m")
    assert logger.statistics().lost == {"queue_full": 7}
    hanging.let_go.set()
    logger.flush(10)
    logger.log_request(model="last")
    assert logger.close() == 0
    sequences = [entry.sequence for entry in hanging.entries]
    assert sequences == sorted(sequences)
    assert len(sequences) == 7
    assert sequences[-1] + 1 - len(sequences) == 7  # the numbers missing are as many as the entries lost
    adds_up(logger)
    lost = [record for record in caplog.records if "is lost (queue_full" in record.getMessage()]
    assert [record.levelno for record in lost] == [logging.ERROR]  # said, and not once for each


def test_a_queue_full_by_bytes_counts_what_calls_hold_on_to(hanging: HangingSink) -> None:
    logger = AuditLogger(hanging, queue_bytes=1_000_000, hash_key="k:" + "A" * 44)
    logger.log_request(model="first")
    assert hanging.entered.wait(10)
    for _ in range(20):
        logger.log_request(input_text="x" * 100_000)
    assert 9 <= logger.statistics().lost["queue_full"] <= 12
    hanging.let_go.set()
    assert logger.close() == 0
    adds_up(logger)


@pytest.mark.parametrize(
    "held", [{"metadata": {"a": "x" * 100_000}}, {"input_text": [{"role": "user", "content": "x" * 100_000}]}]
)
def test_metadata_and_structures_count_as_well(held: dict[str, object], hanging: HangingSink) -> None:
    logger = AuditLogger(hanging, queue_bytes=1_000_000, hash_key="k:" + "A" * 44)
    logger.log_request(model="first")
    assert hanging.entered.wait(10)
    for _ in range(20):
        logger.log_request(**held)  # type: ignore[arg-type]  # one argument or the other
    assert 9 <= logger.statistics().lost["queue_full"] <= 12
    hanging.let_go.set()
    logger.close()


def test_calls_without_any_answer_count_their_request(hanging: HangingSink, api: ScriptedApi) -> None:
    from llm_audit_producer.anthropic_sdk.middleware import Audit

    audit = Audit(sink=hanging, queue_bytes=1_000_000)
    audit.logger.log_request(model="first")
    assert hanging.entered.wait(10)
    client = Anthropic(base_url="http://127.0.0.1:9", api_key=KEY, max_retries=0).with_middleware(audit)
    for _ in range(20):
        with pytest.raises(Exception, match="Connection error"):
            client.messages.create(
                model="claude-sonnet-4-6", max_tokens=1, messages=[{"role": "user", "content": "x" * 100_000}]
            )
    assert 9 <= audit.logger.statistics().lost["queue_full"] <= 12
    hanging.let_go.set()
    audit.close()


def test_closing_drains_within_its_bound_and_counts_the_rest_once(
    hanging: HangingSink, caplog: pytest.LogCaptureFixture
) -> None:
    logger = AuditLogger(hanging)
    for _ in range(10):
        logger.log_request(model="m")
    assert hanging.entered.wait(10)
    begun = time.monotonic()
    assert logger.close(0.2) == 10
    assert time.monotonic() - begun < 10  # the sink would hang for a minute
    assert logger.statistics().lost == {"not_drained": 10}
    assert "10 audit entries could not be delivered" in caplog.text
    hanging.let_go.set()
    thread = logger._recorder._thread
    assert thread is not None
    thread.join(10)
    adds_up(logger)  # the one that came through after all was counted as lost already, and stays so
    assert logger.statistics().lost == {"not_drained": 10}
    assert len(hanging.entries) == 1  # what was given up is not delivered behind the auditor's back


def test_closing_delivers_everything_when_it_can() -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)
    for _ in range(500):
        logger.log_request(model="m")
    assert (logger.close(), logger.close()) == (0, 0)
    assert [entry.sequence for entry in sink.entries] == list(range(500))
    adds_up(logger)


def test_after_closing_calls_are_counted_lost_and_flushing_returns_at_once() -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)
    logger.log_request(model="m")
    logger.close()
    logger.log_request(model="late")
    begun = time.monotonic()
    assert logger.flush(30) == 0
    assert time.monotonic() - begun < 10
    assert (len(sink.entries), logger.statistics().lost) == (1, {"closed": 1})
    adds_up(logger)


def test_flushing_waits_no_longer_than_told_and_says_how_much_is_out(hanging: HangingSink) -> None:
    logger = AuditLogger(hanging)
    assert logger.flush(0) == 0
    for _ in range(3):
        logger.log_request(model="m")
    assert hanging.entered.wait(10)
    assert logger.flush(0.05) >= 1
    hanging.let_go.set()
    assert logger.flush(10) == 0
    assert len(hanging.entries) == 3


class FailingSink(MemorySink):
    """Fails on every second entry."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        super().__init__()
        self._error = error
        self._count = 0

    def append(self, entry: AuditEntry) -> None:
        self._count += 1
        if self._count % 2 == 0:
            raise self._error()
        super().append(entry)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (lambda: SinkError("disk", "the disk is full"), "disk"),
        (lambda: RuntimeError(KEY), "sink_error"),
        (RecursionError, "sink_error"),
        (lambda: SystemExit(1), "sink_error"),
    ],
)
def test_a_sink_that_fails_in_any_way_loses_only_that_entry(
    error: Callable[[], BaseException], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink = FailingSink(error)
    logger = AuditLogger(sink)
    for _ in range(6):
        logger.log_request(model="m")
    assert logger.close() == 0
    assert [entry.sequence for entry in sink.entries] == [0, 2, 4]
    assert logger.statistics().lost == {reason: 3}
    assert KEY not in caplog.text
    adds_up(logger)


class UnopenableSink(MemorySink):
    """Cannot be opened at first."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def open(self, reports: DeliveryReports) -> None:
        if self.error is not None:
            raise self.error
        super().open(reports)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(AuditSettingsError("make the directory"), "sink_unusable"), (OSError("?"), "sink_error")],
)
def test_a_sink_that_cannot_be_opened_disturbs_nobody_and_is_tried_again(
    error: Exception, reason: str, plain: Anthropic, caplog: pytest.LogCaptureFixture
) -> None:
    from llm_audit_producer.anthropic_sdk.middleware import Audit

    sink = UnopenableSink(error)
    audit = Audit(sink=sink)
    audit.logger.log_request(model="m")
    plain.with_middleware(audit).messages.create(**CALL)
    audit.flush()
    assert audit.logger.statistics().lost == {reason: 2}
    sink.error = None
    audit.logger.log_request(model="m")
    assert audit.close() == 0
    assert [entry.sequence for entry in sink.entries] == [2]
    assert ("make the directory" in caplog.text) == (reason == "sink_unusable")
    adds_up(audit.logger)


def test_a_sink_that_fails_to_close_does_not_disturb_the_end() -> None:
    class Sink(MemorySink):
        def close(self, timeout: float) -> int:
            raise RuntimeError("no")

    logger = AuditLogger(Sink())
    logger.log_request(model="m")
    assert logger.close() == 0


def test_a_machine_without_a_thread_left_loses_nothing_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        logger.log_request(model="m")
        assert logger.flush(0) == 1
    logger.log_request(model="m")
    assert logger.close() == 0
    assert len(sink.entries) == 2
    second = AuditLogger(sink)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    second.log_request(model="m")
    assert second.close() == 1
    assert second.statistics().lost == {"not_drained": 1}


class Dropped:
    """Records a call when it is garbage-collected, as an abandoned stream does."""

    def __init__(self, logger: AuditLogger) -> None:
        self.logger = logger
        self.itself = self

    def __del__(self) -> None:
        self.logger.log_request(model="dropped")


def test_garbage_collected_anywhere_a_call_is_recorded_without_a_deadlock() -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)
    threshold = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        for _ in range(2000):
            Dropped(logger)
            logger.log_request(model="m", metadata={"a": [{}]})
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert logger.close(30) == 0
    assert len(sink.entries) == logger.statistics().delivered == 4000
    adds_up(logger)


def test_sequences_have_no_hole_and_no_double_with_many_threads() -> None:
    sink = MemorySink()
    logger = AuditLogger(sink)
    threads = [
        threading.Thread(target=lambda: [logger.log_request(model="m") for _ in range(200)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logger.close() == 0
    assert [entry.sequence for entry in sink.entries] == list(range(1600))
    assert len({entry.request_id for entry in sink.entries}) == 1600
    assert {entry.producer_id for entry in sink.entries} == {logger.producer_id}


@pytest.mark.parametrize("part", ["read_request", "read_message"])
def test_a_broken_reading_disturbs_nobody_and_is_counted(
    part: str,
    monkeypatch: pytest.MonkeyPatch,
    client: Anthropic,
    llm_audit: RecordedAudit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError(f"with content: {KEY}")

    with monkeypatch.context() as patch:
        patch.setattr(messages_api, part, broken)
        for _ in range(3):
            assert client.messages.create(**CALL).id == "msg_01"
        assert llm_audit.entries() == ()
    client.messages.create(**CALL)
    (entry,) = llm_audit.entries()
    assert entry.sequence == 3  # the three that could not be made left a hole
    statistics = llm_audit.logger.statistics()
    assert (statistics.lost, statistics.capture_errors) == ({"capture_error": 3}, {"RuntimeError": 3})
    assert (KEY in caplog.text, "please report this" in caplog.text) == (False, True)


def test_a_broken_capture_disturbs_nobody_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
    client: Anthropic,
    api: ScriptedApi,
    llm_audit: RecordedAudit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from llm_audit_producer.anthropic_sdk import attempt, client_facts

    def broken(*_args: object, **_named: object) -> None:
        raise RuntimeError(f"with content: {KEY}")

    for module, name in (
        (messages_api, "requested_user"),
        (client_facts, "find_client"),
        (client_facts, "retries_left"),
        (attempt, "_facts_of"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, broken)
            assert client.messages.create(**CALL).id == "msg_01"
            assert len(list(client.messages.with_raw_response.create(**CALL).parse().content)) == 1
    api.replies(failing(500))
    with monkeypatch.context() as patch:
        patch.setattr(client_facts, "retries_response", broken)
        with pytest.raises(Exception, match="no"):
            client.messages.create(**CALL)
    assert llm_audit.logger.statistics().capture_errors["RuntimeError"] >= 9
    assert (KEY in caplog.text, "please report this" in caplog.text) == (False, True)
