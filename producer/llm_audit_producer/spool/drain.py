"""Drains spool files into the sink behind them, from a thread of its own: this process's, and those of dead ones."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from llm_audit_producer.errors import AuditSettingsError, SinkError
from llm_audit_producer.faults import say
from llm_audit_producer.sinks import AuditSink, DeliveryReports
from llm_audit_producer.spool.directory import SpoolDirectory
from llm_audit_producer.spool.errors import SpoolBrokenError
from llm_audit_producer.spool.source import Source
from llm_audit_schemas import AuditEntry, ProducerMarker

logger = logging.getLogger("llm_audit_producer")

_IDLE_SECONDS = 0.5
_LINGER_SECONDS = 0.02
"""How long the first entry waits for others: draining one by one would compete with the callers that spool."""
_ADOPT_SECONDS = 5.0
_TROUBLE_SECONDS = 10.0
_DETOUR_ENTRIES = 1_000

AdoptedMarker = Callable[[Source], ProducerMarker]
"""The marker that tells how a dead producer's spool ended."""


class Drain:
    """The draining thread, and the reports of the sink behind it.

    Args:
        sink: Where entries go; used by this thread only.
        directory: Where spools of dead processes lie.
        own: What becomes of entries of this process's own spool, and of those that could not be spooled.
        adopted_marker: Makes the marker of an adopted spool that is empty.
    """

    def __init__(
        self,
        sink: AuditSink,
        directory: SpoolDirectory,
        own: DeliveryReports,
        adopted_marker: AdoptedMarker,
    ) -> None:
        self._sink = sink
        self._directory = directory
        self._own = own
        self._adopted_marker = adopted_marker
        self._sources: dict[str, Source] = {}  # replaced whole, under the lock; read without
        self._change = threading.Lock()
        self._detour: deque[AuditEntry] = deque()
        self._on_detour: set[str] = set()
        self._markers: deque[ProducerMarker] = deque(maxlen=10)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._adopt_at = 0.0
        self._thread = threading.Thread(target=self._run, name="llm-audit-spool", daemon=True)
        self.adopted = 0
        self.bytes_of_others = 0

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: the interpreter is ending, or the machine has no thread left.
        """
        self._thread.start()

    def add(self, producer_id: str, source: Source) -> None:
        """Drain one more file."""
        with self._change:
            self._sources = {**self._sources, producer_id: source}

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def take_detour(self, entry: AuditEntry) -> bool:
        """Deliver an entry from memory, since the disk did not take it; false when too many wait already."""
        if len(self._on_detour) >= _DETOUR_ENTRIES:
            return False
        self._on_detour.add(entry.request_id)
        self._detour.append(entry)
        self._wake.set()
        return True

    @property
    def on_detour(self) -> int:
        """Entries that are delivered from memory and were not reported yet."""
        return len(self._on_detour)

    def mark(self, marker: ProducerMarker) -> None:
        """Send a marker; of too many that wait the oldest go, since a later one says more."""
        self._markers.append(marker)
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Stop the thread, then the sink behind, within ``timeout`` seconds; what is still spooled stays there."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(min(_IDLE_SECONDS, timeout))
        self._sink.close(max(0.0, deadline - time.monotonic()))  # which frees an append that waits in there
        if self._thread.ident is not None:
            self._thread.join(max(_IDLE_SECONDS, deadline - time.monotonic()))
        for source in self._sources.values():
            self._guarded(source.forget_delivered)
        for producer_id, source in self._sources.items():
            if not source.own:
                self._guarded(source.file.close)
                source.claim.release()
            logger.debug("llm-audit: spool %s closed", producer_id)

    # Reports of the sink behind

    def spooled(self, entry: AuditEntry) -> None:
        """No sink behind is a spool."""

    def left_in_spool(self, count: int) -> None:
        """No sink behind is a spool."""

    def delivered(self, entry: AuditEntry) -> None:
        """An entry arrived."""
        source = self._sources.get(entry.producer_id)
        if entry.request_id in self._on_detour:
            self._on_detour.discard(entry.request_id)
            self._own.delivered(entry)
        elif source is not None:
            if source.own:
                self._own.delivered(entry)
            else:
                self.adopted += 1
            source.delivered(entry)
            self._wake.set()

    def lost(self, entry: AuditEntry, reason: str, message: str) -> None:
        """The destination refuses an entry; it stays in its spool, if it is in one."""
        source = self._sources.get(entry.producer_id)
        if entry.request_id in self._on_detour:
            self._on_detour.discard(entry.request_id)
            self._own.lost(entry, reason, message)
        elif source is not None:
            self._guarded(lambda: source.refused(entry, reason, message))

    # The thread

    def _run(self) -> None:
        while not self._stopping.is_set() and not self._opened():
            self._stopping.wait(_TROUBLE_SECONDS)
        while not self._stopping.is_set():
            self._wake.clear()
            if not self._turn() and self._wake.wait(_IDLE_SECONDS):
                self._stopping.wait(_LINGER_SECONDS)
        self._send_markers()  # the last one comes just before the end: that nothing follows

    def _send_markers(self) -> None:
        while self._markers:
            self._sink.mark(self._markers.popleft())

    def _opened(self) -> bool:
        try:
            self._sink.open(self)
        except (SinkError, AuditSettingsError) as error:
            logger.error("llm-audit: entries wait in the spool: %s", error)  # noqa: TRY400 - said whole
            return False
        except Exception as error:  # noqa: BLE001 - tried again; entries are safe
            say("the sink behind the spool cannot be opened", error)
            return False
        return True

    def _turn(self) -> bool:
        """One round; true when something moved."""
        moved = False
        self._send_markers()
        while self._detour:
            self._deliver(self._detour.popleft())
            moved = True
        for producer_id, source in list(self._sources.items()):
            moved = self._drain(producer_id, source) or moved
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + _ADOPT_SECONDS
            self._look_around()
        return moved

    def _deliver(self, entry: AuditEntry) -> None:
        try:
            self._sink.append(entry)
        except SinkError as error:
            self.lost(entry, error.reason, str(error))

    def _drain(self, producer_id: str, source: Source) -> bool:
        try:
            source.forget_delivered()
            moved = source.move(self._sink.append)
            if not source.own and source.empty:
                self._sink.mark(self._adopted_marker(source))
                with self._change:
                    self._sources = {key: each for key, each in self._sources.items() if key != producer_id}
                source.file.close(remove=True)
                source.claim.release(remove=True)
        except SpoolBrokenError as error:
            logger.warning("llm-audit: %s; tried again", error)
            return False
        except Exception as error:  # noqa: BLE001 - the other spools, and later entries, go on
            say("a spooled entry could not be handed over; it is tried again", error)
            return False
        return moved > 0

    def _look_around(self) -> None:
        try:
            self.bytes_of_others = self._directory.bytes_of_others()
            adopted = self._directory.adopt()  # takes a while, in which the own file may be added
            with self._change:
                self._sources = {**self._sources, **adopted}
        except OSError as error:
            logger.warning(
                "llm-audit: the spool directory %s cannot be read: %s", self._directory.path, error
            )

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except SpoolBrokenError as error:
            logger.warning("llm-audit: %s; entries may be delivered twice, and are stored once", error)
