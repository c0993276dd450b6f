"""The content table and the one door to it."""

from llm_audit_consumer.store import AuditStore, migrate
from tests.parts.databases import Database


def test_migrates(database: Database) -> None:
    migrate(database.dsn)
    AuditStore(database.dsn).verify_schema()
