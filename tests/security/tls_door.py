"""A TLS door before a PostgreSQL server: speaks PostgreSQL's own SSLRequest, and lets nobody in without TLS.

The wheel's server is built without TLS. The protocol is PostgreSQL's documented one (manual, "SSL Session Encryption"):
the client asks with eight bytes, the server answers ``S``, and TLS follows.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.security.certificates import Certificate

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class TlsDoor:
    """Where the door is, and how many came through it."""

    port = 0
    entered = 0


@contextmanager
def tls_door(port: int, certificate: Certificate, client_authority: Path | None = None) -> Iterator[TlsDoor]:
    """A door on 127.0.0.1 to a server's port; with an authority, clients must show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if client_authority is not None:
        context.load_verify_locations(client_authority)
        context.verify_mode = ssl.CERT_REQUIRED
    door, ready = TlsDoor(), threading.Event()
    loop = asyncio.new_event_loop()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            door.entered += 1
            with closing(inner_writer):
                await asyncio.gather(_pass(reader, inner_writer), _pass(inner_reader, writer))

    async def serve() -> None:
        server = await asyncio.start_server(enter, "127.0.0.1", 0)
        door.port = server.sockets[0].getsockname()[1]
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    loop.set_exception_handler(
        lambda _loop, _context: None
    )  # refused handshakes are what the tests are about
    thread = threading.Thread(target=run, name="tls-door")
    thread.start()
    assert ready.wait(10)
    try:
        yield door
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
