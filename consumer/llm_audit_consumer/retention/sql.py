"""Named SQL of retention: every statement is a file in ``queries/``."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def statement(name: str) -> str:
    """The SQL of ``queries/NAME.sql``; ``{held}`` and ``{content_held}`` in it stand for the conditions of these names.

    They are the one of the function llm_audit_is_held: a call for each of millions of rows would cost more than the
    rest of the work.
    """
    text = resources.files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
    for name_of_condition in ("held", "content_held"):
        if f"{{{name_of_condition}}}" in text:
            text = text.replace(f"{{{name_of_condition}}}", statement(name_of_condition).rstrip())
    return text
