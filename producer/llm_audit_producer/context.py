"""Who is asking: a context that follows the code through functions, tasks and, when carried, threads.

The context lives in a :class:`contextvars.ContextVar`. asyncio copies it into every task by itself, so concurrent
tasks never see each other's user. A new thread starts without one (before Python 3.14), which is right for a pool
that serves many users; :func:`carry` takes it along where that is wanted.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from llm_audit_producer.content.modes import known_mode, least
from llm_audit_schemas.text import JsonObject, storable_json

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class CallContext:
    """What the service says about a call beyond the call itself; ``None`` where it said nothing.

    Attributes:
        user_id: Who is asking.
        tenant: The customer or organisation the user belongs to.
        session_id: The conversation the call belongs to.
        run_id: Ties calls that belong to one run together.
        metadata: Whatever else the service attaches, as a JSON object.
        content_mode: The most that may be kept of content; within another context only ever less.
    """

    user_id: str | None = None
    tenant: str | None = None
    session_id: str | None = None
    run_id: str | None = None
    metadata: JsonObject | None = None
    content_mode: str | None = None

    def within(self, inner: CallContext) -> CallContext:
        """This context with all that ``inner`` says laid over it; metadata is merged key by key."""
        metadata = self.metadata
        if inner.metadata is not None:
            metadata = {**(self.metadata or {}), **inner.metadata}
        return CallContext(
            user_id=inner.user_id if inner.user_id is not None else self.user_id,
            tenant=inner.tenant if inner.tenant is not None else self.tenant,
            session_id=inner.session_id if inner.session_id is not None else self.session_id,
            run_id=inner.run_id if inner.run_id is not None else self.run_id,
            metadata=metadata,
            content_mode=least(self.content_mode, inner.content_mode),
        )


NOBODY = CallContext()
_current: contextvars.ContextVar[CallContext] = contextvars.ContextVar("llm_audit_context", default=NOBODY)


def current() -> CallContext:
    """The context of the running code."""
    return _current.get()


def describe(
    user_id: object = None,
    tenant: object = None,
    session_id: object = None,
    run_id: object = None,
    metadata: Mapping[str, object] | None = None,
    content_mode: object = None,
) -> CallContext:
    """A context from whatever types a service uses for its ids: numbers and UUIDs become text, never an error.

    Metadata that is no mapping is kept under the key ``value``; what JSON cannot say becomes its text. A content mode
    that there is not means ``none``: a slip of the pen must not keep more than was meant.
    """
    return CallContext(
        user_id=_identifier(user_id),
        tenant=_identifier(tenant),
        session_id=_identifier(session_id),
        run_id=_identifier(run_id),
        metadata=_json_object(metadata),
        content_mode=None if content_mode is None else known_mode(content_mode),
    )


@contextmanager
def enter(inner: CallContext) -> Iterator[CallContext]:
    """Make ``inner`` the context, laid over the one around it, until the block ends."""
    merged = _current.get().within(inner)
    token = _current.set(merged)
    try:
        yield merged
    finally:
        _leave(token)


def _leave(token: contextvars.Token[CallContext]) -> None:
    try:
        _current.reset(token)
    except ValueError:
        # Left in another context than it was entered in, as a generator dependency of a web framework is, or an
        # async generator that is closed late. There is nothing of ours to undo there.
        return


def carry(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """``function`` bound to the present context, for a thread or a pool: ``pool.submit(carry(work), item)``.

    May be called from many threads at once.
    """
    captured = _current.get()

    def carried(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        token = _current.set(captured)
        try:
            return function(*args, **kwargs)
        finally:
            _current.reset(token)

    return carried


def attributed(context: CallContext, fallback_user: object) -> CallContext:
    """``context``, naming ``fallback_user`` where nobody else was named."""
    if context.user_id is not None or not fallback_user:
        return context
    return replace(context, user_id=_identifier(fallback_user))


def _identifier(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    text = storable_json(value)
    return text if isinstance(text, str) else str(text)


def _json_object(metadata: object) -> JsonObject | None:
    if metadata is None:
        return None
    value = storable_json(metadata)
    return value if isinstance(value, Mapping) else {"value": value}
