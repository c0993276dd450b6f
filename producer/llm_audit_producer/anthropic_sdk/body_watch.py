"""Watching a response's body while the caller reads it, however the caller does that.

The SDK hands a streamed answer on before its body is read. Its bytes are noted here as they pass, and the call is
recorded when the body ends, breaks, is closed or is dropped unread. Nothing is parsed on the way: that is the
recorder's work. Watching the bytes, rather than the SDK's event objects, covers every way of reading (events, text,
raw lines, the final message), compressed bodies and Bedrock's framing alike.

One thing only the SDK's own iterator tells: whether the caller took the last event or left before it, when both lay
in one chunk. So that iterator is watched too, where there is one.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache, partial
from typing import Any

from anyio import to_thread

from llm_audit_producer.anthropic_sdk.event_stream import Timed

logger = logging.getLogger("llm_audit_producer")

MAXIMUM_BYTES = 64 * 1024 * 1024
"""Most bytes of one body that are kept; what follows passes unwatched and the entry says that it was cut."""


class BodyWatch:
    """Notes of one body.

    Args:
        started_monotonic_ns: Start of the call, by ``time.perf_counter_ns``.
        ended: Called once, with this watch, when the body is over.
        may_wait: Whether that touches the disk or waits. Then an event loop has it done in a thread, and the end of a
            stream of events is taken before its last event is given out, so that whoever has that event knows that
            the entry is safe.
    """

    def __init__(
        self, started_monotonic_ns: int, ended: Callable[[BodyWatch], None], *, may_wait: bool = False
    ) -> None:
        self._started_ns = started_monotonic_ns
        self._ended = ended
        self.may_wait = may_wait
        self._over = threading.Lock()
        self._process = os.getpid()
        self.chunks: list[Timed] = []
        self.kept_bytes = 0
        self.cut = False
        self.exhausted = False
        self.events_watched = False
        self.last_event_taken = False
        self.error: BaseException | None = None

    def note(self, data: bytes) -> None:
        """A chunk passes."""
        if self.kept_bytes + len(data) > MAXIMUM_BYTES:
            self.cut = True
        else:
            self.chunks.append(((time.perf_counter_ns() - self._started_ns) / 1e6, data))
            self.kept_bytes += len(data)

    async def note_async(self, data: bytes) -> None:
        """As :meth:`note`, without stopping the event loop."""
        self.note(data)

    def end(self, *, exhausted: bool = False, error: BaseException | None = None) -> None:
        """The body is over. Only the first end counts; a lock that is taken once and never given back sees to it.

        A forked child that drops its copy of a parent's stream ends nothing: the parent is still reading.
        """
        if os.getpid() == self._process and self._over.acquire(blocking=False):
            self.exhausted = exhausted
            self.error = error
            self._ended(self)

    async def end_async(self, *, exhausted: bool = False) -> None:
        """As :meth:`end`, without stopping the event loop."""
        if self.may_wait:
            await to_thread.run_sync(partial(self.end, exhausted=exhausted))
        else:
            self.end(exhausted=exhausted)

    def dropped(self) -> None:
        """The body was dropped unread, or half read, and nobody is there to hear of trouble."""
        try:
            self.end()
        except Exception as error:  # noqa: BLE001 - strict, and unavailable: the loss was counted and said
            logger.debug("llm-audit: a dropped stream's entry is not safe: %s", error)


def watch_body(response: Any, watch: BodyWatch, *, asynchronous: bool) -> None:
    """Put a watched stream in the place of a response's own.

    The HTTP library checks that a response's stream is of its own class, and which library that is (httpx or httpx2)
    depends on the SDK's version; so the class is taken from the stream that is there.

    Raises:
        TypeError: the response has no stream of the expected kind.
    """
    base_name, watched = (
        ("AsyncByteStream", WatchedAsyncStream) if asynchronous else ("SyncByteStream", WatchedSyncStream)
    )
    inner = response.stream
    base = next((kind for kind in type(inner).__mro__ if kind.__name__ == base_name), None)
    if base is None:
        raise TypeError(f"the response's stream is a {type(inner).__name__}, not a {base_name}")
    response.stream = _combined(watched, base)(inner, watch)


@cache
def _combined(watched: type[_WatchedStream], base: type) -> type[_WatchedStream]:
    return type(watched.__name__, (watched, base), {})


class _WatchedStream:
    """Stands in for the HTTP library's byte stream; whatever else is asked of that is passed on."""

    def __init__(self, inner: Any, watch: BodyWatch) -> None:
        self._inner = inner
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __del__(self) -> None:
        self._watch.dropped()


class WatchedSyncStream(_WatchedStream):
    """A synchronous body."""

    def __iter__(self) -> Iterator[bytes]:
        watch = self._watch
        try:
            for data in self._inner:
                watch.note(data)
                yield data
        except GeneratorExit:
            raise  # the caller left; its close follows
        except BaseException as error:
            watch.end(error=error)
            raise
        watch.end(exhausted=True)

    def close(self) -> None:
        """The caller is done with the body."""
        try:
            self._inner.close()
        finally:
            self._watch.end()


class WatchedAsyncStream(_WatchedStream):
    """An asynchronous body."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        watch = self._watch
        try:
            async for data in self._inner:
                await watch.note_async(data)
                yield data
        except GeneratorExit:
            raise  # the caller left; its close follows
        except BaseException as error:
            watch.end(error=error)
            raise
        await watch.end_async(exhausted=True)

    async def aclose(self) -> None:
        """The caller is done with the body."""
        try:
            await self._inner.aclose()
        finally:
            await self._watch.end_async()


def watch_events(iterator: Iterator[Any], watch: BodyWatch) -> Iterator[Any]:
    """The SDK's event iterator, noting when the caller has taken the last event."""
    for event in iterator:
        if getattr(event, "type", None) == "message_stop":
            watch.last_event_taken = True
            if watch.may_wait:
                watch.end()
        yield event


async def watch_events_async(iterator: AsyncIterator[Any], watch: BodyWatch) -> AsyncIterator[Any]:
    """As :func:`watch_events`, for an asynchronous client."""
    async for event in iterator:
        if getattr(event, "type", None) == "message_stop":
            watch.last_event_taken = True
            if watch.may_wait:
                await watch.end_async()
        yield event
