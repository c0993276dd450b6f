"""A schema registry on loopback: the few endpoints that Confluent's client uses for reading and writing Avro."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit


class LocalRegistry(ThreadingHTTPServer):
    """Schemas by id, as a registry hands them out; ids count up from ``next_id``."""

    daemon_threads = True

    def __init__(self, next_id: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.next_id = next_id
        self.schemas: dict[int, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def register(self, schema: str) -> int:
        for known_id, known in self.schemas.items():
            if json.loads(known) == json.loads(schema):
                return known_id
        schema_id = self.next_id
        self.next_id += 1
        self.schemas[schema_id] = schema
        return schema_id


class _Handler(BaseHTTPRequestHandler):
    server: LocalRegistry

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        schema_id = self.server.register(body["schema"])
        subject = unquote(urlsplit(self.path).path.split("/")[2])
        self._answer(200, {"id": schema_id, "subject": subject, "version": 1, "schema": body["schema"]})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.strip("/").split("/")
        schema = self.server.schemas.get(int(path[2])) if path[:2] == ["schemas", "ids"] else None
        if schema is None:
            self._answer(404, {"error_code": 40403, "message": "Schema not found"})
        else:
            self._answer(200, {"schema": schema})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        """Requests are not logged."""


@contextmanager
def local_registry(next_id: int = 1) -> Iterator[LocalRegistry]:
    server = LocalRegistry(next_id)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
