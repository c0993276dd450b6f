"""From a stream's events to the message they add up to. Pure, and never fails on what a stream may hold.

``message_delta.usage`` is cumulative but lacks what only ``message_start.usage`` has (cache split, tier, geography),
so the one is laid over the other. What never arrived stays absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_audit_producer.anthropic_sdk.event_stream import Event

_APPENDED = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "compaction_delta": "content",
}
"""Kinds of delta whose text is appended, and the member of their block it belongs to."""


@dataclass(slots=True)
class FoldedStream:
    """What a stream said, as far as it came.

    Attributes:
        message: The message: ``message_start``'s, with content, stop reason and usage as they became.
        complete: Whether ``message_stop`` came.
        error: The ``error`` event's body, where one came.
        first_token_ms: When the first content came, in milliseconds since the call's start.
    """

    message: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    error: Mapping[str, Any] | None = None
    first_token_ms: float | None = None
    _blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    _partial_json: dict[int, list[str]] = field(default_factory=dict)

    def add(self, event: Event) -> None:
        """Take one event; unknown kinds say nothing."""
        time, body = event
        kind = body.get("type")
        if kind == "message_start":
            self._start(body)
        elif kind == "content_block_start":
            self._start_block(body)
        elif kind == "content_block_delta":
            if self.first_token_ms is None:
                self.first_token_ms = time
            self._extend_block(body)
        elif kind == "content_block_stop":
            self._end_block(body.get("index"))
        elif kind == "message_delta":
            self._change(body)
        elif kind == "message_stop":
            self.complete = True
        elif kind == "error":
            self.error = body

    def result(self) -> dict[str, Any]:
        """The message, its content blocks in the order of their indices, unfinished ones included."""
        for index in list(self._partial_json):
            self._end_block(index)
        if not self.message:
            return {}
        return {**self.message, "content": [self._blocks[index] for index in sorted(self._blocks)]}

    def _start(self, body: Mapping[str, Any]) -> None:
        message = body.get("message")
        if isinstance(message, Mapping):
            self.message = dict(message)
            self.message["usage"] = dict(_mapping(message.get("usage")))
            content = message.get("content")
            if isinstance(content, list):
                self._blocks = {index: dict(_mapping(block)) for index, block in enumerate(content)}

    def _start_block(self, body: Mapping[str, Any]) -> None:
        index = body.get("index")
        if isinstance(index, int):
            self._blocks[index] = dict(_mapping(body.get("content_block")))

    def _extend_block(self, body: Mapping[str, Any]) -> None:
        index, delta = body.get("index"), _mapping(body.get("delta"))
        if not isinstance(index, int) or index not in self._blocks:
            return
        block, kind = self._blocks[index], delta.get("type")
        if kind == "input_json_delta":
            self._partial_json.setdefault(index, []).append(str(delta.get("partial_json", "")))
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
        elif kind in _APPENDED:
            member = _APPENDED[kind]
            block[member] = (block.get(member) or "") + str(delta.get(member) or "")

    def _end_block(self, index: object) -> None:
        if not isinstance(index, int) or index not in self._partial_json:
            return
        text = "".join(self._partial_json.pop(index))
        if text:
            try:
                self._blocks[index]["input"] = json.loads(text)
            except ValueError:
                self._blocks[index]["input"] = text  # cut off: kept as it came

    def _change(self, body: Mapping[str, Any]) -> None:
        for name, value in _mapping(body.get("delta")).items():
            if value is not None:
                self.message[name] = value
        usage = self.message.setdefault("usage", {})
        usage.update(
            {name: value for name, value in _mapping(body.get("usage")).items() if value is not None}
        )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
