"""A migrated database with dead letters in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from llm_audit_consumer.store import AuditStore, migrate
from tests.consumer.tables import Tables
from tests.parts.databases import Database


@pytest.fixture
def trail(database: Database) -> Database:
    migrate(database.dsn)
    return database


@pytest.fixture
def tables(trail: Database) -> Tables:
    return Tables(trail.dsn)


@pytest.fixture
def store(trail: Database) -> Iterator[AuditStore]:
    with closing(AuditStore(trail.dsn)) as found:
        yield found
