"""Named SQL of dead letters: every statement is a file in ``queries/``."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def statement(name: str) -> str:
    """The SQL of ``queries/NAME.sql``; where it says ``{chosen}``, the condition of ``chosen.sql`` stands."""
    text = _file(name)
    return text.replace("{chosen}", _file("chosen")) if "{chosen}" in text else text


def _file(name: str) -> str:
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
