"""A call that a service logs by itself, after the fact: from its arguments to what the recorder takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from llm_audit_producer import tracing
from llm_audit_producer.call import ABSENT, Call, CanonicalForm
from llm_audit_producer.loose_arguments import Arguments
from llm_audit_schemas import canonical, request_id_at


def logged_call(status: str, arguments: Arguments) -> Call:
    """The call that just ended: it started its latency ago, within the present span."""
    latency = arguments.milliseconds("latency_ms")
    started_at = datetime.now(UTC) - timedelta(milliseconds=latency or 0)
    call = Call(
        request_id=request_id_at(started_at),
        started_at=started_at,
        provider="unknown",
        action="unknown",
        status=status,
        latency_ms=latency,
    )
    arguments.fill(call)
    if call.trace_id is None and call.span_id is None:
        call.trace_id, call.span_id = tracing.current_ids()
    return call


def take_content(call: Call, system: object, input_: object, output: object) -> None:
    """Note the content. What the caller could still change is brought into its canonical form at once."""
    call.system = _unchanging(system, canonical.canonical_system)
    call.input = _unchanging(input_, canonical.canonical_input)
    call.output = _unchanging(output, canonical.canonical_output)


def _unchanging(content: object, form: Callable[[object], bytes]) -> object:
    if content is None:
        return ABSENT
    return content if type(content) is str else CanonicalForm(form(content))
