"""``audit.call(...)``: records a call that is made another way than through Anthropic's SDK.

Example::

    with audit.call(user_id="u-17", provider="openai", model="gpt-5", action="chat.completions",
                    input_text=prompt) as call:
        response = openai_client.chat.completions.create(model="gpt-5", messages=prompt)
        call.answered(
            model=response.model,
            output_text=response.choices[0].message.content,
            input_tokens=response.usage.prompt_tokens,
            output_tokens=response.usage.completion_tokens,
            stop_reason=response.choices[0].finish_reason,
        )

The block is one call, in synchronous and asynchronous code alike. How it ends is how the call ended:

- with an answer reported: ``success``, whatever the block does afterwards;
- with an exception: ``error``, or ``aborted`` where it is no error but the caller's leaving (cancellation, Ctrl-C);
- otherwise: ``success``, with nothing known of the usage.

Exceptions go on to the caller as they are.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from llm_audit_producer import context, tracing
from llm_audit_producer.context import CallContext

if TYPE_CHECKING:
    from llm_audit_producer.audit_logger import AuditLogger


class ManualCall:
    """One call, from the block's start to its end.

    Args:
        logger: Records the call.
        facts: What is known before it, by the names of ``AuditLogger.log_request``.

    Attributes:
        request_id: The entry's id, once the block has ended.
    """

    def __init__(self, logger: AuditLogger, facts: dict[str, Any]) -> None:
        self.request_id: str | None = None
        self._logger = logger
        self._facts = facts
        self._answer: dict[str, Any] | None = None
        self._answered_at: float | None = None
        self._started = 0.0
        self._asking: CallContext = context.NOBODY

    def answered(
        self,
        *,
        output_text: object = None,
        input_tokens: object = None,
        output_tokens: object = None,
        model: object = None,
        stop_reason: object = None,
        usage: object = None,
        **more: object,
    ) -> None:
        """Report the answer; what is reported again replaces what was.

        The call's latency ends here. Values that cannot be used are left out and named in the entry; nothing raises.

        Args:
            output_text: What was answered. Only its hash is kept.
            input_tokens: Tokens of the prompt, as the provider counts them; not what came from a cache.
            output_tokens: Tokens of the answer.
            model: The model that answered, where it is another than the one asked.
            stop_reason: Why the answer ended, in the provider's words.
            usage: A usage block in the form of Anthropic's API, instead of single counts.
            **more: Any other plain field of the entry: see ``AuditLogger.log_request``.
        """
        told = {
            "output_text": output_text,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "model": model,
            "stop_reason": stop_reason,
            "usage": usage,
            **more,
        }
        self._answered_at = time.perf_counter()
        self._answer = {
            **(self._answer or {}),
            **{name: value for name, value in told.items() if value is not None},
        }

    def __enter__(self) -> Self:
        self._asking = self._logger.asking(
            context.describe(
                **{
                    name: self._facts.pop(name, None)
                    for name in ("user_id", "tenant", "session_id", "run_id", "metadata")
                }
            )
        )
        self._facts["trace_id"], self._facts["span_id"] = tracing.current_ids()
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ended = self._answered_at if self._answered_at is not None else time.perf_counter()
        told = {
            **self._facts,
            "user_id": self._asking.user_id,
            "tenant": self._asking.tenant,
            "session_id": self._asking.session_id,
            "run_id": self._asking.run_id,
            "metadata": self._asking.metadata,
            "latency_ms": (ended - self._started) * 1000,
            **(self._answer or {}),
        }
        if error is None or self._answer is not None:
            self.request_id = self._logger.log_request(**told)
            return
        told["status"] = "error" if isinstance(error, Exception) else "aborted"
        told.setdefault("http_status", _http_status(error))
        self.request_id = self._logger.log_error(**told, error=error)


def _http_status(error: BaseException) -> int | None:
    """The status that the exceptions of most HTTP SDKs carry."""
    try:
        status = getattr(error, "status_code", None)
    except Exception:  # noqa: BLE001 - an exception whose attributes raise says nothing
        return None
    return status if isinstance(status, int) else None
