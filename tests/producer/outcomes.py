"""What a caller of the SDK sees, in a form that two clients' can be compared in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anthropic
from pydantic import BaseModel

Emit = Callable[[object], None]


@dataclass
class Seen:
    """Everything handed to the caller, in order, and the exception that ended it."""

    values: list[object] = field(default_factory=list)
    error: dict[str, object] | None = None

    def take(self, value: object) -> None:
        self.values.append(plain(value))


def see(use: Callable[[Emit], None]) -> Seen:
    """Run a caller of a synchronous client."""
    seen = Seen()
    try:
        use(seen.take)
    except Exception as error:  # noqa: BLE001 - whatever it is, both clients must raise it
        seen.error = plain_error(error)
    return seen


async def see_async(use: Callable[[Emit], Awaitable[None]]) -> Seen:
    """Run a caller of an asynchronous client."""
    seen = Seen()
    try:
        await use(seen.take)
    except Exception as error:  # noqa: BLE001 - whatever it is, both clients must raise it
        seen.error = plain_error(error)
    return seen


def plain(value: object) -> object:
    """A value with its types, request id and contents; warnings of odd contents are the SDK's own, twice the same."""
    if isinstance(value, BaseModel):
        dump = value.model_dump(warnings=False)
        return (_name(value), dump, sorted(value.model_fields_set), getattr(value, "_request_id", None))
    return (_name(value), value)


def plain_error(error: BaseException) -> dict[str, object]:
    found: dict[str, object] = {"type": _name(error), "words": str(error)}
    if isinstance(error, anthropic.APIError):
        found |= {
            name: getattr(error, name, None) for name in ("message", "body", "status_code", "request_id")
        }
        response: Any = getattr(error, "response", None)
        if response is not None:
            found |= {"response": response.status_code, "was_read": hasattr(response, "_content")}
            found |= {"content": getattr(response, "_content", None)}
    cause = error.__cause__
    return found | {"cause": None if cause is None else (_name(cause), str(cause))}


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
