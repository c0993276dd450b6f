"""The consumer's connection to PostgreSQL through TLS: who answers is checked, and nothing goes in the clear."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from llm_audit_consumer.errors import DatabaseUnavailableError
from llm_audit_consumer.store import AuditStore, migrate
from llm_audit_consumer.store.transport import _warn, warn_of_plaintext
from tests.parts.databases import Database
from tests.security.certificates import Authority, Certificate
from tests.security.tls_door import TlsDoor, tls_door


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.sign("postgres", addresses=("127.0.0.1",))


@pytest.fixture
def door(database: Database, server: Certificate) -> Iterator[TlsDoor]:
    with tls_door(urlsplit(database.dsn).port or 0, server) as found:
        yield found


def through(door: TlsDoor, database: Database, *, host: str = "127.0.0.1", **settings: str | Path) -> str:
    inner = urlsplit(database.dsn)
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in settings.items())
    return f"postgresql://{inner.username}:{inner.password}@{host}:{door.port}{inner.path}?{query}"


def refusal(dsn: str, database: Database) -> str:
    with closing(AuditStore(dsn)) as store, pytest.raises(DatabaseUnavailableError) as caught:
        store.ping()
    secret = urlsplit(database.dsn).password or ""
    assert secret
    assert secret not in str(caught.value) + caught.value.hint
    return f"{caught.value} {caught.value.hint}"


def test_migrating_and_working_under_verify_full(
    door: TlsDoor, database: Database, authority: Authority
) -> None:
    dsn = through(door, database, sslmode="verify-full", sslrootcert=authority.file)
    migrate(dsn)
    with closing(AuditStore(dsn)) as store:
        store.verify_schema()
    assert door.entered >= 2


def test_an_authority_that_did_not_sign_the_server(
    door: TlsDoor, database: Database, stranger: Authority
) -> None:
    said = refusal(through(door, database, sslmode="verify-full", sslrootcert=stranger.file), database)
    assert "certificate verify failed" in said
    assert "sslrootcert" in said
    assert door.entered == 0


def test_a_host_that_the_certificate_does_not_name(
    door: TlsDoor, database: Database, authority: Authority
) -> None:
    dsn = through(door, database, host="localhost", sslmode="verify-full", sslrootcert=authority.file)
    said = refusal(dsn, database)
    assert "does not match host name" in said


def test_a_server_without_tls_is_refused_and_nothing_goes_in_the_clear(
    database: Database, authority: Authority
) -> None:
    said = refusal(f"{database.dsn}?sslmode=verify-full&sslrootcert={authority.file}", database)
    assert "does not support SSL" in said


def test_a_client_in_the_clear_is_not_let_in(door: TlsDoor, database: Database) -> None:
    assert "PostgreSQL cannot be reached" in refusal(through(door, database, sslmode="disable"), database)
    assert door.entered == 0


def test_a_server_that_wants_the_client_s_certificate(
    database: Database, server: Certificate, authority: Authority
) -> None:
    own = authority.sign("consumer")
    with tls_door(urlsplit(database.dsn).port or 0, server, authority.file) as door:
        dsn = through(door, database, sslmode="verify-full", sslrootcert=authority.file)
        refusal(dsn, database)
        dsn += f"&sslcert={own.certificate}&sslkey={own.key}"
        with closing(AuditStore(dsn)) as store:
            store.ping()
        assert door.entered == 1


@pytest.mark.parametrize(
    ("settings", "environment", "hosts"),
    [
        ({"host": "db.example"}, {}, ["db.example"]),
        ({}, {"PGHOST": "db.example"}, ["db.example"]),
        ({"host": "localhost,db.example"}, {}, ["db.example"]),
        ({"host": "db.example", "sslmode": "disable"}, {}, []),
        ({"host": "db.example"}, {"PGSSLMODE": "verify-full"}, []),
        ({"host": "/run/postgresql"}, {}, []),
        ({"host": "127.0.0.1"}, {}, []),
        ({}, {}, []),
    ],
)
def test_a_connection_beyond_this_machine_without_sslmode_is_warned_about_once(
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, str],
    environment: dict[str, str],
    hosts: list[str],
) -> None:
    _warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        warn_of_plaintext(settings, environment)
        warn_of_plaintext(settings, environment)
    assert [record.args for record in caplog.records] == [(host,) for host in hosts]
