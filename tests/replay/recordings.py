"""Recorded API traffic, one request and response a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Recording:
    """One recorded exchange; bodies are text as it was sent."""

    id: str
    method: str
    path: str
    request_headers: dict[str, str]
    request_body: str
    status: int
    response_headers: dict[str, str]
    response_body: str

    @property
    def endpoint(self) -> str:
        return self.path.partition("?")[0]

    @property
    def is_beta(self) -> bool:
        return "beta=true" in self.path

    @property
    def is_message(self) -> bool:
        """Whether it is a call of the Messages API."""
        return self.method == "POST" and self.endpoint == "/v1/messages"

    @property
    def is_stream(self) -> bool:
        return bool(self.request.get("stream"))

    @property
    def request(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.request_body)
        return body


class UnreadableRecordingError(Exception):
    """A line of the file is no recording; the message names line and reason."""


def read_recordings(path: Path) -> Iterator[Recording]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _recording(path, number, line)


def _recording(path: Path, number: int, line: str) -> Recording:
    try:
        record = json.loads(line)
        request, response = record["request"], record["response"]
        return Recording(
            id=str(record["id"]),
            method=request["method"].upper(),
            path=request["path"],
            request_headers={name.lower(): value for name, value in request["headers"].items()},
            request_body=request["body"],
            status=int(response["status"]),
            response_headers={name.lower(): value for name, value in response["headers"].items()},
            response_body=response["body"],
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableRecordingError(f"{path}, line {number}: not a recording: {error!r}") from error
