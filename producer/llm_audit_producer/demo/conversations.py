"""What the demo's service does: who asks what, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_audit_producer.demo.local_api import Asked, Reply, error_reply, json_reply
from llm_audit_producer.sanitizing import Block, Sanitized

SYSTEM = "You answer customers of a small bicycle shop, briefly and kindly."


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of one user.

    Attributes:
        user: Who asks.
        model: Which model is asked.
        text: The question.
        attempts_refused: How often the API first says 429, which the SDK retries.
    """

    user: str
    model: str
    text: str
    attempts_refused: int = 0


CONVERSATIONS: tuple[Turn, ...] = (
    Turn("ada", "claude-haiku-4-5", "Do you have a left pedal for a touring bike?"),
    Turn("ada", "claude-haiku-4-5", "And a matching right one?"),
    Turn("grace", "claude-sonnet-4-6", "My brakes squeal in the rain. What should I look at first?"),
    Turn("grace", "claude-sonnet-4-6", "I cleaned the rims. They still squeal."),
    Turn("linus", "claude-opus-5", "Plan a ten-day tour along the Danube for two beginners."),
    Turn("ada", "claude-haiku-4-5", "When do you close on Saturdays?", attempts_refused=1),
    Turn("grace", "claude-sonnet-4-6", "Please charge my card 4111 1111 1111 1111 for the pads."),
    Turn("linus", "claude-does-not-exist", "Does this model answer?"),
    Turn("margaret", "claude-sonnet-4-6", "Which tyre pressure for gravel at 70 kg?"),
    Turn(
        "margaret",
        "claude-opus-5",
        "Compare belt drive and chain for a commuter, with costs over five years.",
    ),
    Turn("ada", "claude-haiku-4-5", "Thank you!"),
    Turn("linus", "claude-sonnet-4-6", "Shorten the tour to six days."),
)

LIVE_MODEL = "claude-haiku-4-5"

_CARD_NUMBER = re.compile(r"\b(?:\d[ -]?){13,16}\b")


def shop_rule(body: Mapping[str, Any]) -> Sanitized:
    """The shop's own sanitizer: a question with a payment card number is never sent."""
    found = sum(len(_CARD_NUMBER.findall(str(message["content"]))) for message in body["messages"])
    if found:
        raise Block("the question holds a payment card number", {"payment_card": found})
    return Sanitized(body)


class ScriptedModel:
    """Answers as the API would: with text, usage, a request id; now and then with an error."""

    def __init__(self) -> None:
        self._refused: dict[str, int] = {}
        self._numbers = iter(range(1, 1_000_000))

    def answer(self, asked: Asked) -> Reply:
        """The reply to one request of the SDK."""
        body = asked.json()
        number = next(self._numbers)
        headers = {"request-id": f"req_demo_{number:04}"}
        question = str(body["messages"][-1]["content"])
        turn = next((turn for turn in CONVERSATIONS if turn.text == question), None)
        if turn is not None and self._refused.get(question, 0) < turn.attempts_refused:
            self._refused[question] = self._refused.get(question, 0) + 1
            return error_reply(429, "rate_limit_error", "Too many requests.", {**headers, "retry-after": "0"})
        if body["model"] == "claude-does-not-exist":
            return error_reply(404, "not_found_error", f"model: {body['model']}", headers)
        return json_reply(_message(body["model"], question, number), headers=headers)


def _message(model: str, question: str, number: int) -> dict[str, object]:
    words = question.split()
    return {
        "id": f"msg_demo_{number:04}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [
            {"type": "text", "text": f"Gladly. About {words[-1].strip('?!.')}: come by, we will look at it."}
        ],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20 + 7 * len(words),
            "output_tokens": 30 + 11 * len(words),
            "cache_read_input_tokens": 1200 if number > 1 else 0,
            "cache_creation_input_tokens": 0 if number > 1 else 1200,
            "service_tier": "standard",
        },
    }


def live_conversations() -> Iterator[Turn]:
    """The few turns worth paying for, all on a small model."""
    for turn in CONVERSATIONS[:3]:
        yield Turn(turn.user, LIVE_MODEL, turn.text)
    yield next(turn for turn in CONVERSATIONS if _CARD_NUMBER.search(turn.text))
