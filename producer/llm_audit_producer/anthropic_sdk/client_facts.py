"""What the middleware must know of the client it runs in, which its public face does not tell.

A middleware sees requests and responses but not the client. Three facts are needed from it: how often it retries (to
make one entry of several attempts), which platform it speaks to, and whether it copies a request's body. The chain
that the SDK hands to a middleware is a closure that ends in the client's own method, so the client is found by
following it. That is beneath the SDK's public face, so all of it is in this file, every step is guarded, and a test
holds it against the oldest and the newest SDK we allow. Where it fails, retries are judged by the SDK's documented
rules and defaults.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

_DEFAULT_MAX_RETRIES = 2  # the SDK's documented default
_CHAIN_LIMIT = 64

# Values follow OpenTelemetry's gen_ai.provider.name where it has one; matched against the client's class name.
_PLATFORMS = (
    ("Bedrock", "aws.bedrock"),
    ("AWS", "aws.claude"),
    ("Vertex", "gcp.vertex_ai"),
    ("GoogleCloud", "gcp.claude"),
    ("Foundry", "azure.ai.foundry"),
)


def find_client(call_next: Callable[..., Any]) -> object | None:
    """The client at the end of a middleware chain, or ``None`` where the chain has another build."""
    function: object = call_next
    for _ in range(_CHAIN_LIMIT):
        cells = _closure(function)
        if "self" in cells:
            return cells["self"]
        if "call_next" not in cells:
            return None
        function = cells["call_next"]
    return None


def _closure(function: object) -> dict[str, object]:
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None)
    if code is None or cells is None:
        return {}
    found: dict[str, object] = {}
    for name, cell in zip(code.co_freevars, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue
    return found


def provider_of(client: object | None) -> str:
    """The platform a client speaks to."""
    # Only the SDK's own classes: a service may name its subclass as it likes.
    names = [kind.__name__ for kind in type(client).__mro__ if kind.__module__.startswith("anthropic.")]
    for part, provider in _PLATFORMS:
        if any(part in name for name in names):
            return provider
    return "anthropic"


def region_of(client: object | None) -> str | None:
    """The region of a platform's endpoint, which its price may depend on."""
    region = getattr(client, "region", None) or getattr(client, "aws_region", None)
    return region if isinstance(region, str) else None


def body_of(client: object | None, request: Any) -> object:
    """A request's body as it is sent, which nobody changes any more.

    Newer SDKs give the middleware such a copy. Older ones still share parts of it with the caller, who may go on
    with them once the call returns, and keep ``extra_body`` apart until they send.
    """
    if callable(getattr(client, "_copy_and_prepare", None)):
        return request.json
    body, extra = request.json, request.options.extra_json
    if isinstance(extra, Mapping):
        body = {**(body if isinstance(body, Mapping) else {}), **extra}
    try:
        return copy.deepcopy(body)
    except Exception:  # noqa: BLE001 - what cannot be copied, such as an open file, is looked at later as it is then
        return body


def retries_left(client: object | None, max_retries: object, retries_taken: int) -> bool:
    """Whether the SDK may still retry a call.

    Args:
        client: From :func:`find_client`.
        max_retries: The request's own setting; anything but a number means that the client's holds.
        retries_taken: Retries the call has had.
    """
    if not isinstance(max_retries, int):
        max_retries = getattr(client, "max_retries", _DEFAULT_MAX_RETRIES)
    return isinstance(max_retries, int) and retries_taken < max_retries


def retries_response(client: object | None, response: Any) -> bool:
    """Whether the SDK's policy retries this error response, by its own method or else its documented rule."""
    policy = getattr(client, "_should_retry", None)
    if callable(policy):
        return bool(policy(response))
    told = response.headers.get("x-should-retry")
    if told in {"true", "false"}:
        return bool(told == "true")
    return response.status_code in {408, 409, 429} or response.status_code >= 500


def retries_exception(client: object | None, error: BaseException) -> bool:
    """Whether the SDK's policy retries after this exception."""
    if not isinstance(error, Exception):
        return False
    policy = getattr(client, "_should_retry_exception", None)
    if callable(policy):
        return bool(policy(error)[0])
    return any(kind.__name__ == "APIConnectionError" for kind in type(error).__mro__)
