"""The fixture for people who test their own services, in a stranger's test run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STRANGERS_TEST = """
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import pytest

BODY = (b'{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-6","content":[],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}')

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

@pytest.fixture
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()

def test_my_service(llm_audit, url):
    from anthropic import Anthropic
    client = Anthropic(base_url=url, api_key="k").with_middleware(llm_audit.audit)
    with llm_audit.audit.context(user_id="u-17"):
        client.messages.create(model="claude-sonnet-4-6", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
    (entry,) = llm_audit.entries()
    assert (entry.user_id, entry.input_tokens, entry.content_mode) == ("u-17", 3, "hash")

def test_each_test_begins_with_nothing(llm_audit):
    assert llm_audit.entries() == ()
    assert llm_audit.logger.last_request_id is None
    llm_audit.logger.log_request("u-1", "m")
    llm_audit.logger.close()
    assert len(llm_audit.entries()) == 1

def test_without_it():
    import sys
    assert "psycopg2" not in sys.modules
    assert "prometheus_client" not in sys.modules
"""


def test_the_fixture_serves_a_strangers_test(tmp_path: Path) -> None:
    """As installed: found by its entry point, where auditing is switched off for the service's own tests."""
    (tmp_path / "test_mine.py").write_text(STRANGERS_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "LLM_AUDIT_ENABLED": "0",
            "LLM_AUDIT_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
