"""The table that maps our fields to OpenTelemetry's conventions names fields and clients that there are."""

from __future__ import annotations

import re
from importlib import resources

import anthropic
import pytest

from llm_audit_producer.anthropic_sdk.client_facts import provider_of
from llm_audit_schemas.entry import FIELD_NAMES

TEXT = resources.files("llm_audit_schemas").joinpath("OPENTELEMETRY.md").read_text(encoding="utf-8")
FIELDS, PROVIDERS = TEXT.split("## Provider names")


def rows(part: str) -> list[list[str]]:
    """The cells of a table, without its heading."""
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_field_of_the_table_is_in_the_contract() -> None:
    named = [name for row in rows(FIELDS) for name in names(row[0])]
    assert len(named) > 25
    assert set(named) <= set(FIELD_NAMES)


def test_every_field_that_the_conventions_know_is_in_the_table() -> None:
    named = {name for row in rows(FIELDS) for name in names(row[0])}
    known = {
        *(
            "trace_id",
            "span_id",
            "provider",
            "action",
            "requested_model",
            "model",
            "response_id",
            "stop_reason",
        ),
        *(
            "input_tokens",
            "output_tokens",
            "thinking_tokens",
            "cache_read_tokens",
            "error_type",
            "http_status",
        ),
        *(
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "time_to_first_token_ms",
            "session_id",
            "tool_names",
        ),
    }
    assert known <= named


@pytest.mark.parametrize(
    ("client", "provider"),
    [(client, names(row[1])[0]) for row in rows(PROVIDERS) for client in names(row[0])],
)
def test_each_client_is_labelled_as_the_table_says(client: str, provider: str) -> None:
    for kind in (getattr(anthropic, client), getattr(anthropic, f"Async{client}")):
        assert provider_of(object.__new__(kind)) == provider
