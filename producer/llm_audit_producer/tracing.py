"""The ids of OpenTelemetry's current span, where the service uses OpenTelemetry.

Nothing is imported for it: a service that traces has loaded the API itself, and in any other there is no span to ask
for. The ids are W3C Trace Context's: 32 and 16 lower-case hexadecimal digits.
"""

from __future__ import annotations

import sys


def current_ids() -> tuple[str, str] | tuple[None, None]:
    """Trace id and span id of the current span; neither where there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None, None
    try:
        span = trace.get_current_span().get_span_context()
        if not span.is_valid:
            return None, None
        return f"{span.trace_id:032x}", f"{span.span_id:016x}"
    except Exception:  # noqa: BLE001 - a tracer of the service's own making may fail; the entry then has no ids
        return None, None
