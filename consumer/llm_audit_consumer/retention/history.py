"""What retention did, as it is recorded."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from llm_audit_consumer.errors import ConfigurationError
from llm_audit_consumer.retention.sql import statement
from llm_audit_consumer.store.postgres import Database


def actions(dsn: str, limit: int) -> list[dict[str, Any]]:
    """The records of ``llm_audit_retention_action``, newest first, each as column to value.

    Args:
        dsn: PostgreSQL connection string.
        limit: Most records.

    Raises:
        ConfigurationError: the role may not read them.
        DatabaseUnavailableError: the database does not answer.
    """
    with closing(Database(dsn, application_name="llm-audit-retention")) as database:
        try:
            with database.transaction():
                return database.rows(statement("actions"), {"limit": limit})
        except ConfigurationError as error:
            raise ConfigurationError(str(error), "connect as a member of llm_audit_auditor") from None
