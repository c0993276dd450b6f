from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from llm_audit_consumer.retention.policies import Policies, load
from llm_audit_consumer.store import AuditStore, migrate
from tests.parts.databases import Database, DatabaseMaker
from tests.parts.servers import PostgresUnderTest
from tests.retention.log import Log
from tests.retention.trail import POLICY_FILE
from tests.roles.logins import Logins


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policies.toml"
    path.write_text(POLICY_FILE)
    return path


@pytest.fixture
def policies(policy_file: Path) -> Policies:
    return load(policy_file)


@pytest.fixture
def new_login(postgres_server: PostgresUnderTest) -> Iterator[Logins]:
    logins = Logins(postgres_server.dsn)
    yield logins
    logins.drop_all()


# It asks for the logins so that it ends before them: a role that owns something cannot be dropped.
@pytest.fixture
def make_database(new_login: Logins, postgres_server: PostgresUnderTest) -> Iterator[DatabaseMaker]:
    maker = DatabaseMaker(postgres_server)
    yield maker
    maker.drop_all()


@pytest.fixture
def log(database: Database) -> Iterator[Log]:
    """A migrated database, and how to write to it."""
    migrate(database.dsn)
    with closing(AuditStore(database.dsn)) as store:
        yield Log(database.dsn, store)
