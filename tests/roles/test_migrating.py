"""What `llm-audit migrate` needs: CREATEROLE and the database's ownership once, llm_audit_owner afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from llm_audit_consumer.embedded import EmbeddedPostgres
from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.migrations_runner import Migration, pending, shipped
from tests.parts.databases import Database
from tests.roles.logins import Logins, admin, user_of
from tests.store.rows import fetch

ROLES = ("auditor", "content_reader", "owner", "retention", "writer")
NEXT = Migration(99, "next", "CREATE TABLE llm_audit_next (id int)")


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A server of its own, on which nobody has made the roles yet."""
    with EmbeddedPostgres(ephemeral=True) as postgres:
        yield postgres


@pytest.fixture
def untouched(cluster: EmbeddedPostgres) -> EmbeddedPostgres:
    """The server, its databases and roles as after initdb."""
    with admin(cluster.dsn) as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'trail%'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^(llm_audit|login)_'")
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    return cluster


def database_of(cluster: EmbeddedPostgres, name: str, owner: str | None = None) -> str:
    """A new database's connection string, as its owner."""
    with admin(cluster.dsn) as cursor:
        cursor.execute(f"CREATE DATABASE {name}" + (f" OWNER {user_of(owner)}" if owner else ""))
    return urlsplit(owner or cluster.dsn)._replace(path=f"/{name}").geturl()


def roles_of(cluster: EmbeddedPostgres) -> list[tuple[str, bool, bool]]:
    rows = fetch(
        cluster.dsn,
        "SELECT rolname, rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_roles "
        "WHERE rolname ~ '^llm_audit_' ORDER BY rolname",
    )
    return [(name, login, power) for name, login, power in rows]


def owners(dsn: str) -> set[str]:
    found = fetch(
        dsn,
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^llm_audit_' UNION "
        "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname ~ '^llm_audit_'",
    )
    return {name for (name,) in found}


def test_a_managed_services_first_user_can_migrate(untouched: EmbeddedPostgres) -> None:
    login = Logins(untouched.dsn)(untouched.dsn, options="CREATEROLE")
    dsn = database_of(untouched, "trail", login)
    assert migrate(dsn) == shipped()
    assert roles_of(untouched) == [(f"llm_audit_{name}", False, False) for name in ROLES]
    assert owners(dsn) == {"llm_audit_owner"}
    assert migrate(dsn, [*shipped(), NEXT]) == [NEXT]
    assert owners(dsn) == {"llm_audit_owner"}


def test_a_member_of_the_owners_role_needs_nothing_else(untouched: EmbeddedPostgres) -> None:
    dsn = database_of(untouched, "trail")
    migrate(dsn)
    login = Logins(untouched.dsn)(dsn, "llm_audit_owner")
    assert migrate(login, [*shipped(), NEXT]) == [NEXT]
    assert owners(dsn) == {"llm_audit_owner"}


def test_who_may_not_make_roles_is_told_the_mend(untouched: EmbeddedPostgres) -> None:
    login = Logins(untouched.dsn)(untouched.dsn)
    dsn = database_of(untouched, "trail", login)
    with pytest.raises(ConfigurationError, match="the role llm_audit_owner is missing") as caught:
        migrate(dsn)
    assert f"ALTER ROLE {user_of(login)} CREATEROLE" in str(caught.value)
    assert "CREATEROLE" in caught.value.hint
    assert shipped()[0] not in pending(dsn)
    with admin(untouched.dsn) as cursor:
        cursor.execute(f"ALTER ROLE {user_of(login)} CREATEROLE")
    assert migrate(dsn)[-1] == shipped()[-1]


def test_who_may_not_become_the_owner_is_told_the_mend(untouched: EmbeddedPostgres) -> None:
    migrate(database_of(untouched, "trail"))
    login = Logins(untouched.dsn)(untouched.dsn)
    dsn = database_of(untouched, "trail_of_another", login)
    with pytest.raises(ConfigurationError, match=f"GRANT llm_audit_owner TO {user_of(login)}"):
        migrate(dsn)
    with admin(untouched.dsn) as cursor:
        cursor.execute(f"GRANT llm_audit_owner TO {user_of(login)}")
    assert migrate(dsn)[-1] == shipped()[-1]
    assert owners(dsn) == {"llm_audit_owner"}


def test_who_may_not_open_the_schema_is_told_the_mend(untouched: EmbeddedPostgres) -> None:
    dsn = database_of(untouched, "trail")
    login = Logins(untouched.dsn)(dsn, options="CREATEROLE")
    with admin(dsn) as cursor:
        cursor.execute(f"GRANT CREATE ON SCHEMA public TO {user_of(login)}")
    with pytest.raises(
        ConfigurationError, match="GRANT CREATE, USAGE ON SCHEMA public TO llm_audit_owner"
    ) as caught:
        migrate(login)
    mend = str(caught.value).partition("run ")[2].replace(" (", "")
    with admin(dsn) as cursor:
        cursor.execute("CREATE ROLE llm_audit_owner NOLOGIN; CREATE ROLE llm_audit_writer NOLOGIN")
        cursor.execute("CREATE ROLE llm_audit_auditor NOLOGIN; CREATE ROLE llm_audit_content_reader NOLOGIN")
        cursor.execute(f"CREATE ROLE llm_audit_retention NOLOGIN; GRANT llm_audit_owner TO {user_of(login)}")
        cursor.execute(mend)
    assert migrate(login)[-1] == shipped()[-1]


def test_a_schema_of_its_own(untouched: EmbeddedPostgres) -> None:
    login = Logins(untouched.dsn)(untouched.dsn, options="CREATEROLE")
    dsn = database_of(untouched, "trail", login)
    fetch(dsn, "CREATE SCHEMA audit")
    inside = f"{dsn}?options=-csearch_path%3Daudit"
    assert migrate(inside) == shipped()
    writer = Logins(untouched.dsn)(dsn, "llm_audit_writer") + "?options=-csearch_path%3Daudit"
    store = AuditStore(writer)
    store.verify_schema()
    store.close()
    fetch(writer, "SELECT llm_audit_create_partitions('2030-01-01')")
    where = "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'llm_audit_log_2030_01'"
    assert fetch(dsn, where) == [("audit",)]


def test_two_databases_of_a_cluster_migrate_at_the_same_time(untouched: EmbeddedPostgres) -> None:
    names = [f"trail_{number}" for number in range(4)]
    addresses = [database_of(untouched, name) for name in names]
    together = threading.Barrier(len(addresses))

    def apply(dsn: str) -> int:
        together.wait(30)
        return len(migrate(dsn))

    with ThreadPoolExecutor(len(addresses)) as several:
        assert list(several.map(apply, addresses)) == [len(shipped())] * len(addresses)
    assert len(roles_of(untouched)) == len(ROLES)


def test_a_writer_finds_nothing_to_do_or_is_told_who_does(trail: Database, new_login: Logins) -> None:
    writer = new_login(trail.dsn, "llm_audit_writer")
    assert migrate(writer) == []
    with pytest.raises(ConfigurationError, match="permission denied") as caught:
        migrate(writer, [*shipped(), NEXT])
    assert "member of llm_audit_owner" in caught.value.hint
