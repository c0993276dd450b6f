"""Message batches: their creation is one entry, and each result is one when it is read.

Results are read as lines of a long body, perhaps long after and by another process. So that reading them twice records
them once, a result's request_id is made of the batch's own facts: the time the batch was created, and a hash of its id
and the result's custom_id. The SDK asks for the batch just before it reads its results, which is where its creation
time is learned; where it was not, the entry gets an id of the present, and reading again would record it again.

A second reading's entry is dropped by the table, whose key is request_id; it still uses up a sequence of its producer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread

from llm_audit_producer import messages_api
from llm_audit_producer.anthropic_sdk.attempt import Body
from llm_audit_producer.anthropic_sdk.body_watch import BodyWatch, watch_body
from llm_audit_producer.anthropic_sdk.event_stream import decompressor_of
from llm_audit_producer.audit_logger import AuditLogger
from llm_audit_producer.call import Call
from llm_audit_producer.context import CallContext
from llm_audit_producer.errors import AuditUnavailable
from llm_audit_schemas import request_id_at
from llm_audit_schemas.identifiers import RANDOM_BYTES

_BATCH = re.compile(r"/v1/messages/batches/([^/?]+)(/results)?(?:\?|$)")
_REMEMBERED = 1000
_HTTP_ERROR = 400
_BASE_BYTES = 1024
_LONGEST_LINE_BYTES = 64 * 1024 * 1024

_ENDINGS = {
    "succeeded": ("success", None),
    "errored": ("error", "error"),
    "canceled": ("aborted", "canceled"),
    "expired": ("error", "expired"),
}
"""A result's type to the entry's status and error type."""


def batch_read_by(method: str, url: str) -> tuple[str, bool] | None:
    """The batch that a request reads, and whether it reads the results; ``None`` where it reads no batch."""
    match = _BATCH.search(url) if method.lower() == "get" else None
    return None if match is None else (match[1], match[2] is not None)


class KnownBatches:
    """When batches were created, as far as this process has heard; the latest thousand."""

    def __init__(self) -> None:
        self._created: OrderedDict[str, datetime] = OrderedDict()

    def note(self, batch: object) -> None:
        """Take a batch's own words."""
        if not isinstance(batch, dict) or not isinstance(batch.get("created_at"), str):
            return
        try:
            created = datetime.fromisoformat(batch["created_at"])
        except ValueError:
            return
        if created.tzinfo is not None:
            self._created[str(batch.get("id"))] = created.astimezone(UTC)
            while len(self._created) > _REMEMBERED:
                self._created.popitem(last=False)

    def created(self, batch_id: str) -> datetime | None:
        """When a batch was created; ``None`` while not known."""
        return self._created.get(batch_id)


class BatchReading:
    """A request that reads a batch or its results; stands where an attempt of a call stands.

    Args:
        logger: Records the results.
        known: Remembers when batches were created.
        batch_id: The batch.
        asking: Who is asking.
        provider: The platform.
        action: What the results are recorded as.
        sdk: Name and version of the SDK.
    """

    progress = None

    def __init__(
        self,
        logger: AuditLogger,
        known: KnownBatches,
        batch_id: str,
        *,
        asking: CallContext,
        provider: str,
        action: str,
        sdk: str,
    ) -> None:
        self._logger = logger
        self._known = known
        self._batch_id = batch_id
        self._asking = asking
        self._provider = provider
        self._action = action
        self._sdk = sdk

    def is_of(self, logger: AuditLogger, key: str | None) -> bool:  # noqa: ARG002 - as an attempt's
        """Whether it is this logger's; reading has no idempotency key."""
        return self._logger is logger

    def lay_over(self, asking: CallContext) -> None:
        """Take what an inner middleware knows of who is asking."""
        self._asking = self._asking.within(asking)

    def broke(self, error: BaseException) -> None:
        """Nothing was read, and a reading that failed is no model call."""

    def expects(self, response: Any) -> Body:
        """Results are read by the caller; everything else is here or of no interest."""
        raw = getattr(response, "http_response", response)
        unread = not getattr(raw, "is_closed", True)
        return Body.FOR_CALLER if unread and raw.status_code < _HTTP_ERROR else Body.READ

    def answered(self, response: Any) -> None:
        """The batch itself was read: remember when it was created."""
        try:
            raw = getattr(response, "http_response", response)
            if raw.is_closed and raw.status_code < _HTTP_ERROR:
                self._known.note(json.loads(raw.content))
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def watch(self, response: Any, *, asynchronous: bool) -> BodyWatch | None:
        """Record each result as its line passes. There are no events to watch besides, hence ``None``."""
        try:
            raw = getattr(response, "http_response", response)
            watch_body(
                raw,
                _ResultLines(
                    raw.headers.get("content-encoding", ""), self._take, may_wait=self._logger.may_wait
                ),
                asynchronous=asynchronous,
            )
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)
        return None

    def watch_events(self, response: Any, watch: BodyWatch) -> None:
        """Results are lines, not events."""

    async def watch_events_async(self, response: Any, watch: BodyWatch) -> None:
        """Results are lines, not events."""

    def _take(self, line: bytes) -> None:
        try:
            self._logger.record(self._result(line))
        except AuditUnavailable:
            raise
        except Exception as fault:  # noqa: BLE001 - counted and said; the caller must not notice
            self._logger.capture_failed(fault)

    def _result(self, line: bytes) -> BatchResult:
        body = json.loads(line)
        custom_id = str(body["custom_id"])
        created = self._known.created(self._batch_id)
        random = None
        if created is not None:
            random = hashlib.sha256(
                f"{self._batch_id}\0{custom_id}".encode("utf-8", "surrogatepass")
            ).digest()
        started_at = created or datetime.now(UTC)
        return BatchResult(
            request_id=request_id_at(started_at, random[:RANDOM_BYTES] if random else None),
            started_at=started_at,
            batch_id=self._batch_id,
            custom_id=custom_id,
            body=body,
            retained_bytes=_BASE_BYTES + len(line),
            asking=self._asking,
            provider=self._provider,
            action=self._action,
            sdk=self._sdk,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class BatchResult:
    """One result of a batch, as its line has it."""

    request_id: str
    started_at: datetime
    batch_id: str
    custom_id: str
    body: dict[str, Any]
    retained_bytes: int
    asking: CallContext
    provider: str
    action: str
    sdk: str

    def read(self) -> Call:
        """The call that the result is of. Its request is not in the line, and neither are its status and latency."""
        result = self.body.get("result")
        result = result if isinstance(result, dict) else {}
        status, error_type = _ENDINGS.get(str(result.get("type")), ("error", str(result.get("type"))))
        call = Call(
            request_id=self.request_id,
            started_at=self.started_at,
            provider=self.provider,
            action=self.action,
            status=status,
            context=self.asking,
            batch_id=self.batch_id,
            custom_id=self.custom_id,
            error_type=error_type,
            sdk=self.sdk,
        )
        messages_api.read_message(call, result.get("message"))
        if call.raw_usage is not None and call.usage.service_tier is None:
            call.usage.service_tier = "batch"  # what a batch's call is billed as, said or not
        error = result.get("error")
        if isinstance(error, dict):
            messages_api.read_error(call, error)
        return call


class _ResultLines(BodyWatch):
    """Cuts a body of JSON lines as it passes, and hands each line on; keeps nothing else of it."""

    def __init__(self, content_encoding: str, take: Callable[[bytes], None], *, may_wait: bool) -> None:
        super().__init__(0, lambda _watch: None, may_wait=may_wait)
        self._decompress = decompressor_of(content_encoding)
        self._take = take
        self._pending = bytearray()

    def note(self, data: bytes) -> None:
        """A chunk passes; whole lines in it are results."""
        try:
            self._pending += self._decompress(data)
        except Exception:  # noqa: BLE001 - damaged bytes are the caller's to hear of, from the HTTP library
            return
        *lines, rest = bytes(self._pending).split(b"\n")
        self._pending = bytearray(rest[:_LONGEST_LINE_BYTES])
        for line in lines:
            if line.strip():
                self._take(line)

    async def note_async(self, data: bytes) -> None:
        """As :meth:`note`, which may touch the disk here."""
        if self.may_wait:
            await to_thread.run_sync(self.note, data)
        else:
            self.note(data)

    def end(self, *, exhausted: bool = False, error: BaseException | None = None) -> None:
        """The body is over; a last line may lack its line end."""
        if exhausted and self._pending.strip():
            self._take(bytes(self._pending))
        self._pending = bytearray()
        super().end(exhausted=exhausted, error=error)
