"""An API that answers as a test says, and clients whose calls are recorded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic

from llm_audit_producer.pytest_plugin import RecordedAudit
from llm_audit_schemas import AuditEntry
from tests.api.server import Asked, LocalApi, Reply, error_reply, json_reply, message

CALL: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "hi"}],
}
KEY = "sk-ant-api03-PLANTEDplantedPLANTED"


def answer(text: str = "Hello", **changes: object) -> Reply:
    return json_reply(message(text, **changes), request_id="req_1")


def failing(status: int, kind: str = "api_error", text: str = "no", **headers: str) -> Reply:
    """An error whose retry, where there is one, comes at once."""
    return error_reply(status, kind, text, request_id="req_e", retry_after_ms="1", **headers)


class ScriptedApi:
    """Gives the replies of a script in turn, the last one again and again."""

    def __init__(self) -> None:
        self.script: list[Reply] = [answer()]
        self.asked: list[Asked] = []
        self.arrived = threading.Event()
        self.url = ""
        self._lock = threading.Lock()

    def replies(self, *script: Reply) -> None:
        self.script = list(script)

    def __call__(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        self.arrived.set()
        return reply


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    scripted = ScriptedApi()
    with LocalApi(scripted) as server:
        scripted.url = server.url
        yield scripted


@pytest.fixture
def plain(api: ScriptedApi) -> Iterator[Anthropic]:
    """A client without the middleware."""
    with Anthropic(base_url=api.url, api_key=KEY, max_retries=2, timeout=20) as client:
        yield client


@pytest.fixture
def client(plain: Anthropic, llm_audit: RecordedAudit) -> Anthropic:
    return plain.with_middleware(llm_audit.audit)


def only(llm_audit: RecordedAudit) -> AuditEntry:
    (entry,) = llm_audit.entries()
    return entry
