"""Databases for tests: each test that asks gets a new, empty one."""

import uuid
from dataclasses import dataclass

import psycopg2
from psycopg2 import sql

from tests.parts.servers import PostgresUnderTest


@dataclass(frozen=True)
class Database:
    """One empty database; `dsn` is its libpq URI."""

    name: str
    dsn: str


class DatabaseMaker:
    """Makes databases on the server under test and drops them again, whoever is still connected."""

    def __init__(self, server: PostgresUnderTest) -> None:
        self._server = server
        self._made: list[str] = []

    def __call__(self) -> Database:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self._made.append(name)
        return Database(name, self._server.dsn_of(name))

    def drop_all(self) -> None:
        for name in self._made:
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        connection = psycopg2.connect(self._server.dsn)
        try:
            connection.autocommit = True  # neither statement may run inside a transaction
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()
