"""Named SQL of this package: every statement is a file in ``queries/``."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def statement(name: str) -> str:
    """The SQL of ``queries/NAME.sql``."""
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
