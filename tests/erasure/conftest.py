from __future__ import annotations

from pathlib import Path

import pytest

from tests.content.conftest import migrated, new_login, trail
from tests.parts.databases import DatabaseMaker

__all__ = ["migrated", "new_login", "trail"]


@pytest.fixture
def key_store(request: pytest.FixtureRequest, make_database: DatabaseMaker, tmp_path: Path) -> str:
    """A key store in a file, or in a database of its own where a test asks for that."""
    kind = getattr(request, "param", "file")
    return make_database().dsn if kind == "postgresql" else f"file:{tmp_path / 'keys.sqlite'}"
