"""The demo service of docker-compose.yml: the same conversations again and again, audited, with its metrics on a port.

It asks a local server that speaks the Messages API, so it needs no key and costs nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid

import anthropic
from anthropic import Anthropic
from prometheus_client import start_http_server

from llm_audit_producer import Audit, AuditBlocked
from llm_audit_producer.demo.conversations import CONVERSATIONS, SYSTEM, ScriptedModel, Turn, shop_rule
from llm_audit_producer.demo.local_api import LocalApi
from llm_audit_producer.prometheus_metrics import expose_metrics

_EVERY_NOBODY = 40
"""One call in so many names no user, so that there is something to see."""


def main() -> None:
    """Hold conversations until told to stop, or for DEMO_CALLS calls."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    pause = float(os.environ.get("DEMO_SECONDS_BETWEEN_CALLS", "1"))
    calls = int(os.environ.get("DEMO_CALLS", "0"))
    audit = Audit(service="bicycle-shop", environment="demo", sanitizer=shop_rule)
    expose_metrics(audit.logger)
    server, _ = start_http_server(
        int(os.environ.get("DEMO_METRICS_PORT", "9465")), os.environ.get("DEMO_METRICS_HOST", "127.0.0.1")
    )
    sys.stdout.write(f"metrics on port {server.server_port}\n")
    sys.stdout.flush()
    with LocalApi(ScriptedModel().answer) as api:
        client = Anthropic(base_url=api.url, api_key="local").with_middleware(audit)
        done = 0
        while not (stopping.is_set() or done == calls > 0):
            _ask(client, audit, CONVERSATIONS[done % len(CONVERSATIONS)], nobody=done % _EVERY_NOBODY == 1)
            done += 1
            stopping.wait(pause)
        audit.logger.flush()
        if calls:
            stopping.wait()  # so that its last figures can still be read
    audit.close()
    server.shutdown()


def _ask(client: Anthropic, audit: Audit, turn: Turn, *, nobody: bool) -> None:
    user = None if nobody else turn.user
    with audit.context(user_id=user, session_id=uuid.uuid5(uuid.NAMESPACE_DNS, turn.user)):
        try:
            client.messages.create(
                model=turn.model,
                max_tokens=256,
                system=SYSTEM,
                messages=[{"role": "user", "content": turn.text}],
            )
        except (AuditBlocked, anthropic.APIError):
            return  # some of the conversations end so on purpose; the trail says how


if __name__ == "__main__":
    main()
