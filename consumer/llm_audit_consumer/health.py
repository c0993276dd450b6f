"""The daemon's face to Prometheus and to whoever restarts it: /metrics, /healthz, /readyz.

``/healthz`` says whether the loop turns: a consumer that is stuck must be restarted. ``/readyz`` says whether it can do
its work: with the database or the broker away it is alive but not ready, and restarting it would not help.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Health:
    """What the loop reports of itself, read by the HTTP threads.

    Args:
        clock: Seconds on a clock that never goes back.
        stuck_seconds: How long the loop may go without a turn before it counts as stuck.
    """

    def __init__(self, clock: Callable[[], float], stuck_seconds: float) -> None:
        self._clock = clock
        self._stuck_seconds = stuck_seconds
        self._last_turn = clock()
        self._not_ready: dict[str, str] = {"consumer": "starting"}

    def turned(self) -> None:
        """The loop has made a turn."""
        self._last_turn = self._clock()

    def not_ready(self, part: str, reason: str) -> None:
        """A part of the world (``database``, ``broker``, ``consumer``) is away, and why."""
        self._not_ready = {**self._not_ready, part: reason}

    def ready(self, part: str) -> None:
        """A part is there again."""
        self._not_ready = {name: reason for name, reason in self._not_ready.items() if name != part}

    @property
    def problems(self) -> dict[str, str]:
        """Part to reason, for every part that is away."""
        return self._not_ready

    @property
    def stuck_for(self) -> float | None:
        """Seconds since the last turn once that is too long, else ``None``."""
        idle = self._clock() - self._last_turn
        return idle if idle > self._stuck_seconds else None


class HealthServer:
    """Serves metrics and health over HTTP from threads of its own.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        registry: The metrics.
        health: What the loop reports.

    Raises:
        OSError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, health: Health) -> None:
        self._metrics = make_wsgi_app(registry)
        self._health = health
        self._server = make_server(host, port, self._answer, _ThreadingServer, _QuietHandler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="llm-audit-health", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def start(self) -> None:
        """Serve until stopped."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(environ, start_response)
            return page
        if path == "/healthz":
            stuck_for = self._health.stuck_for
            problems = {} if stuck_for is None else {"consumer": f"no turn of the loop for {stuck_for:.0f} s"}
            return _say(start_response, problems)
        if path == "/readyz":
            return _say(start_response, self._health.problems)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"try /metrics, /healthz or /readyz\n"]


def _say(start_response: StartResponse, problems: dict[str, str]) -> Iterable[bytes]:
    status = "503 Service Unavailable" if problems else "200 OK"
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps({"ok": not problems, "problems": problems}).encode() + b"\n"]


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Probes and scrapes come every few seconds; they are not news."""
