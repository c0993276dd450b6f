from __future__ import annotations

from collections.abc import Iterator

import pytest

from llm_audit_consumer.store import migrate
from tests.parts.databases import Database, DatabaseMaker
from tests.parts.servers import PostgresUnderTest
from tests.roles.logins import Logins


@pytest.fixture
def new_login(postgres_server: PostgresUnderTest) -> Iterator[Logins]:
    logins = Logins(postgres_server.dsn)
    yield logins
    logins.drop_all()


# Before the databases in teardown order: a role that owns something cannot be dropped.
@pytest.fixture
def make_database(new_login: Logins, postgres_server: PostgresUnderTest) -> Iterator[DatabaseMaker]:
    maker = DatabaseMaker(postgres_server)
    yield maker
    maker.drop_all()


@pytest.fixture
def trail(database: Database) -> Database:
    """A migrated database."""
    migrate(database.dsn)
    return database
