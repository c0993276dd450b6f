"""PostgreSQL: the tables, and how a batch gets into them."""

from llm_audit_consumer.store.audit_store import AuditStore
from llm_audit_consumer.store.migrations_runner import Migration, migrate, pending

__all__ = ["AuditStore", "Migration", "migrate", "pending"]
