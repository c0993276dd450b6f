"""Which calls of the SDK's tool runner belong to one run: they share a ``run_id``.

A tool runner calls the model, runs the tools it asks for, and calls again. The SDK marks these requests with a header,
but with nothing that tells one run from another, and the messages do not either: two runs may begin with the same
words, and a run may rewrite its own. What they do share is the runner itself, and while a middleware handles one of
its requests, the runner's own method is on the call stack. So, for requests with that header only, the stack is looked
through for it, and each runner is given an id of its own, forgotten with it. The innermost runner counts: a tool that
starts a runner starts another run.

That is beneath the SDK's public face, so all of it is in this file and guarded. Where no runner is found the calls are
recorded without a ``run_id``, never with a wrong one. A ``run_id`` that the service gives with
``audit.context(run_id=...)`` is taken instead, and is the way to tie other calls together, such as those that a tool
makes by itself.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import FrameType
from weakref import WeakKeyDictionary

from llm_audit_schemas import request_id_at

_HEADER = "x-stainless-helper"
_MARK = "BetaToolRunner"
_METHOD_OF = "ToolRunner."
_DEEPEST = 200

_run_ids: WeakKeyDictionary[object, str] = WeakKeyDictionary()
_lock = threading.Lock()


def run_id_of(headers: Mapping[str, object]) -> str | None:
    """The id of the run that a request with these headers belongs to; ``None`` where it belongs to none.

    To be called while the request is handled, on the stack of the code that makes it.
    """
    if not any(name.lower() == _HEADER and _MARK in str(value) for name, value in headers.items()):
        return None
    try:
        runner = _innermost_runner()
        if runner is None:
            return None
        with _lock:
            return _run_ids.setdefault(runner, request_id_at(datetime.now(UTC)))
    except Exception:  # noqa: BLE001 - an SDK of another build; its calls are recorded without a run
        return None


def _innermost_runner() -> object | None:
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEEPEST):
        if frame is None:
            return None
        # Only of a runner's own method: asking a frame for its locals keeps them alive as long as the frame.
        if _METHOD_OF in frame.f_code.co_qualname:
            runner = frame.f_locals.get("self")
            if any(kind.__name__ == "BaseToolRunner" for kind in type(runner).__mro__):
                return runner
        frame = frame.f_back
    return None
