"""The demo's service. Prints one line of JSON for each call, so that whoever started it can show progress."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from contextlib import ExitStack

import anthropic
from anthropic import Anthropic

from llm_audit_producer import Audit, AuditBlocked
from llm_audit_producer.demo.conversations import (
    CONVERSATIONS,
    SYSTEM,
    ScriptedModel,
    Turn,
    live_conversations,
    shop_rule,
)
from llm_audit_producer.demo.local_api import LocalApi


def main() -> int:
    """Run the conversations; returns the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m llm_audit_producer.demo", description=__doc__)
    arguments.add_argument(
        "--live", action="store_true", help="ask the real API, with the key in ANTHROPIC_API_KEY"
    )
    live = arguments.parse_args().live
    with ExitStack() as resources:
        if live:
            plain, turns = Anthropic(), tuple(live_conversations())
        else:
            api = resources.enter_context(LocalApi(ScriptedModel().answer))
            plain, turns = Anthropic(base_url=api.url, api_key="local"), CONVERSATIONS
        audit = Audit(service="bicycle-shop", environment="demo", sanitizer=shop_rule)
        client = plain.with_middleware(audit)
        for number, turn in enumerate(turns, start=1):
            outcome = _ask(client, audit, turn)
            _say(done=number, of=len(turns), user=turn.user, model=turn.model, outcome=outcome)
        undelivered = audit.close()
    counted = audit.logger.statistics()
    _say(captured=counted.captured, delivered=counted.delivered, lost=counted.lost_total)
    return 1 if undelivered or counted.lost_total else 0


def _ask(client: Anthropic, audit: Audit, turn: Turn) -> str:
    """One question, asked or stopped by the shop's own rule; returns how it ended."""
    with audit.context(user_id=turn.user, session_id=uuid.uuid5(uuid.NAMESPACE_DNS, turn.user)):
        try:
            client.messages.create(
                model=turn.model,
                max_tokens=256,
                system=SYSTEM,
                messages=[{"role": "user", "content": turn.text}],
            )
        except AuditBlocked:
            return "blocked"
        except anthropic.APIError as error:
            return type(error).__name__
        return "success"


def _say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
