from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2 import sql

from llm_audit_consumer.store import migrate
from tests.parts.databases import Database, DatabaseMaker
from tests.parts.servers import PostgresUnderTest
from tests.roles.logins import Logins, admin


@pytest.fixture
def new_login(postgres_server: PostgresUnderTest) -> Iterator[Logins]:
    logins = Logins(postgres_server.dsn)
    yield logins
    logins.drop_all()


@pytest.fixture(scope="session")
def migrated(postgres_server: PostgresUnderTest) -> Iterator[Database]:
    """A migrated database, to be copied."""
    maker = DatabaseMaker(postgres_server)
    database = maker()
    migrate(database.dsn)
    yield database
    maker.drop_all()


@pytest.fixture
def trail(migrated: Database, postgres_server: PostgresUnderTest, new_login: Logins) -> Iterator[Database]:
    """A migrated audit database of the test's own; dropped before the logins, which own something in it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    names = {"name": sql.Identifier(name), "template": sql.Identifier(migrated.name)}
    with admin(postgres_server.dsn) as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**names))
    yield Database(name, postgres_server.dsn_of(name))
    with admin(postgres_server.dsn) as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**names))


@pytest.fixture(params=["postgresql", "file"])
def key_store(request: pytest.FixtureRequest, make_database: DatabaseMaker, tmp_path: Path) -> str:
    """Both kinds of key store, each apart from the audit database."""
    return make_database().dsn if request.param == "postgresql" else f"file:{tmp_path / 'keys.sqlite'}"
