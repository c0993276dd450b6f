"""Trace and span ids come from OpenTelemetry's current span, and only where the service uses OpenTelemetry."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, get_current_span

from llm_audit_producer import tracing
from llm_audit_producer.pytest_plugin import RecordedAudit
from tests.producer.conftest import CALL, only


@pytest.fixture
def span() -> Iterator[Span]:
    with TracerProvider().get_tracer("test").start_as_current_span("request") as current:
        yield current


def ids(span: Span) -> tuple[str, str]:
    return f"{span.get_span_context().trace_id:032x}", f"{span.get_span_context().span_id:016x}"


def test_a_call_within_a_span(client: Anthropic, llm_audit: RecordedAudit, span: Span) -> None:
    client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.trace_id, entry.span_id) == ids(span)


def test_a_call_without_a_span(client: Anthropic, llm_audit: RecordedAudit) -> None:
    assert not get_current_span().get_span_context().is_valid
    client.messages.create(**CALL)
    entry = only(llm_audit)
    assert (entry.trace_id, entry.span_id) == (None, None)


def test_logged_calls(llm_audit: RecordedAudit, span: Span) -> None:
    llm_audit.logger.log_request("u-1", "gpt-5")
    llm_audit.logger.log_error("u-1", "gpt-5", error="no")
    llm_audit.logger.log_request("u-1", "gpt-5", trace_id="ab", span_id="cd")
    found = [(entry.trace_id, entry.span_id) for entry in llm_audit.entries()]
    assert found == [ids(span), ids(span), ("ab", "cd")]


def test_a_block_takes_the_span_at_its_start(llm_audit: RecordedAudit, span: Span) -> None:
    call = llm_audit.logger.call(model="gpt-5")
    with call, TracerProvider().get_tracer("test").start_as_current_span("inner"):
        call.answered()
    entry = only(llm_audit)
    assert (entry.trace_id, entry.span_id) == ids(span)


def test_a_tracer_that_fails_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.trace.get_current_span", lambda: 1 / 0)
    assert tracing.current_ids() == (None, None)


def test_the_producer_never_imports_it() -> None:
    code = (
        "import sys; from llm_audit_producer import AuditLogger, MemorySink, tracing;"
        "AuditLogger(MemorySink()).log_request('u', 'm');"
        "print(tracing.current_ids(), any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "(None, None) False"
