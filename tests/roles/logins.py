"""Logins that are members of the trail's roles, and what they may do."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import sql


class Logins:
    """Makes login roles on the server under test; roles belong to the cluster, so they are dropped at the end."""

    def __init__(self, admin_dsn: str) -> None:
        self._admin_dsn = admin_dsn
        self._made: list[str] = []

    def __call__(self, dsn: str, *groups: str, options: str = "") -> str:
        """The connection string of a new login to the database of `dsn`, a member of these groups alone."""
        name, password = f"login_{secrets.token_hex(6)}", secrets.token_hex(8)
        with admin(self._admin_dsn) as cursor:
            login = sql.Identifier(name)
            cursor.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} " + options).format(login, sql.Literal(password))
            )
            self._made.append(name)
            for group in groups:
                cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), login))
        return with_user(dsn, name, password)

    def drop_all(self) -> None:
        """After the databases are gone, and with them what the logins own there."""
        with admin(self._admin_dsn) as cursor:
            for name in self._made:
                cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def with_user(dsn: str, name: str, password: str) -> str:
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}").geturl()


def user_of(dsn: str) -> str:
    name = urlsplit(dsn).username
    assert name is not None
    return name


@contextmanager
def admin(dsn: str) -> Iterator[Any]:
    """A cursor whose statements are committed one by one."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()
