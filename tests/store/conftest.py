from __future__ import annotations

from collections.abc import Iterator

import pytest

from llm_audit_consumer.store import AuditStore, migrate
from tests.parts.databases import Database


@pytest.fixture
def store(database: Database) -> Iterator[AuditStore]:
    migrate(database.dsn)
    store = AuditStore(database.dsn, statement_timeout_ms=2000)
    yield store
    store.close()
