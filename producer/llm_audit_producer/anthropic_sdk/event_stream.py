"""From the bytes of a streamed answer to its events. Pure, and never fails: what cannot be read ends the reading.

A body arrives in chunks, perhaps compressed, as server-sent events (the format of the HTML standard, section 9.2) or,
from Bedrock, in AWS's binary event-stream framing.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

Timed = tuple[float, bytes]
"""A chunk of bytes and when it arrived, in milliseconds since the call's start."""

Event = tuple[float, dict[str, Any]]
"""An event and when its last byte arrived, in milliseconds since the call's start."""

_AWS_FRAMES = "application/vnd.amazon.eventstream"


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


def read_events(chunks: Iterable[Timed], content_type: str, content_encoding: str) -> Iterator[Event]:
    """The events of a body, in order, as far as they can be read.

    Args:
        chunks: The body as it came over the wire.
        content_type: The response's header.
        content_encoding: The response's header; ``gzip``, ``deflate``, ``br`` and ``zstd`` are undone.
    """
    decoded = _decompressed(chunks, content_encoding)
    if content_type.startswith(_AWS_FRAMES):
        return _aws_events(decoded)
    return _sse_events(decoded)


def decompress(body: bytes, content_encoding: str) -> bytes:
    """A whole body with its content encoding undone, as far as that goes."""
    return b"".join(data for _time, data in _decompressed([(0.0, body)], content_encoding))


def decompressor_of(content_encoding: str) -> Callable[[bytes], bytes]:
    """Undoes a content encoding chunk by chunk; gives the bytes as they are where there is none."""
    found = _decompressor(content_encoding.strip().lower())
    return bytes if found is None else found.decompress


def _decompressed(chunks: Iterable[Timed], content_encoding: str) -> Iterator[Timed]:
    decompressor = _decompressor(content_encoding.strip().lower())
    if decompressor is None:
        yield from chunks
        return
    for time, data in chunks:
        try:
            yield time, decompressor.decompress(data)
        except Exception:  # noqa: BLE001 - each library has its own error; damaged bytes end the reading
            return


def _decompressor(content_encoding: str) -> _Decompressor | None:
    if content_encoding == "gzip":
        return zlib.decompressobj(zlib.MAX_WBITS | 16)
    if content_encoding == "deflate":
        return zlib.decompressobj()
    if content_encoding in {"br", "zstd"}:
        return _optional_decompressor(content_encoding)
    return None


def _optional_decompressor(content_encoding: str) -> _Decompressor:
    """The SDK only asks for these encodings where their library is there, so it can be imported here too."""
    if content_encoding == "br":
        import brotli

        class Brotli:
            def __init__(self) -> None:
                self._inner = brotli.Decompressor()

            def decompress(self, data: bytes, /) -> bytes:
                return bytes(self._inner.process(data))

        return Brotli()
    import zstandard

    found: _Decompressor = zstandard.ZstdDecompressor().decompressobj()
    return found


def _sse_events(chunks: Iterable[Timed]) -> Iterator[Event]:
    name: str | None = None
    data: list[str] = []
    for time, line in _lines(chunks):
        if line.startswith("event:"):
            name = line[6:].removeprefix(" ")
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line:
            event = _sse_event(name, "\n".join(data))
            name, data = None, []
            if event is not None:
                yield time, event


def _sse_event(name: str | None, data: str) -> dict[str, Any] | None:
    """One event as the SDK sees it: it passes over those without a name, and raises at what is no JSON."""
    if not name or name == "ping" or not (data or name == "error"):
        return None
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        kind = "error" if name == "error" else "malformed_event"
        words = f"the data of an event {name[:40]!r} is not JSON"
        return {"type": "error", "error": {"type": kind, "message": words}}
    if name == "error" and not (isinstance(body, dict) and isinstance(body.get("error"), dict)):
        return {"type": "error", "error": {"type": "error", "message": None}}
    return body if isinstance(body, dict) else None


def _lines(chunks: Iterable[Timed]) -> Iterator[tuple[float, str]]:
    """Lines of the body; they end in LF, CR LF or CR."""
    pending, time = b"", 0.0
    for time, data in chunks:
        pending += data
        complete, pending = _split(pending)
        for line in complete:
            yield time, line.decode("utf-8", "replace")
    if pending.endswith(b"\r"):  # nothing follows, so it was no half of a CR LF
        yield time, pending[:-1].decode("utf-8", "replace")


def _split(pending: bytes) -> tuple[list[bytes], bytes]:
    """Complete lines and the unfinished rest. A CR at the very end may be half of a CR LF, so it waits."""
    held = b""
    if pending.endswith(b"\r"):
        pending, held = pending[:-1], b"\r"
    lines = pending.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return lines[:-1], lines[-1] + held


def _aws_events(chunks: Iterable[Timed]) -> Iterator[Event]:
    """Bedrock's frames, each holding one event of the Messages API in base64."""
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    for time, data in chunks:
        buffer.add_data(data)
        try:
            for frame in buffer:
                event = _aws_event(frame.to_response_dict())
                if event is not None:
                    yield time, event
        except Exception:  # noqa: BLE001 - a damaged frame ends the reading, for the SDK too, which raises
            words = "a frame of the stream is damaged"
            yield time, {"type": "error", "error": {"type": "malformed_event", "message": words}}
            return


def _aws_event(response: dict[str, Any]) -> dict[str, Any] | None:
    body = _json(response["body"].decode("utf-8", "replace"))
    if body is None:
        return None
    if response["status_code"] != 200:
        kind = response["headers"].get(":exception-type", "error")
        return {"type": "error", "error": {"type": kind, "message": body.get("message")}}
    return _json(base64.b64decode(body.get("bytes", "")).decode("utf-8", "replace"))


def _json(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
