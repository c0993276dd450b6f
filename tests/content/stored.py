"""Rows that are there already, for tests of what is done with them."""

from __future__ import annotations

import json

import psycopg2

from llm_audit_consumer.content.key_store import open_key_store
from llm_audit_consumer.content.keys import Subject
from llm_audit_consumer.content.wrapping import StoredContent, wrap
from llm_audit_consumer.store.content_store import write_content
from llm_audit_consumer.store.postgres import Database
from llm_audit_producer.content.sealing import ContentForms, Sealer
from llm_audit_schemas import AuditEntry
from llm_audit_schemas.codec import entry_record
from llm_audit_schemas.entry import FIELD_NAMES
from tests.content.trail import PUBLIC_KEY

SEALER = Sealer(PUBLIC_KEY, 768 * 1024)
_JSON = ("metadata", "details", "digest_salts")


def store_entries(dsn: str, *entries: AuditEntry) -> None:
    """Put entries into the log."""
    columns = ", ".join(f'"{name}"' for name in FIELD_NAMES)
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            for entry in entries:
                record = entry_record(entry)
                record |= {name: record[name] and json.loads(record[name]) for name in _JSON}
                cursor.execute(
                    f"INSERT INTO llm_audit_log ({columns}) "
                    f"SELECT {columns} FROM jsonb_populate_record(NULL::llm_audit_log, %s::jsonb)",
                    [json.dumps(record, default=str)],
                )
    finally:
        connection.close()


def store_content(dsn: str, key_store: str, entry: AuditEntry, forms: ContentForms) -> list[StoredContent]:
    """Put an entry's content into its table, as the follower does."""
    keys = open_key_store(key_store, dsn)
    database = Database(dsn, application_name="test")
    try:
        subject = Subject(entry.user_id, entry.tenant)
        key = keys.keys_for({subject: entry.timestamp})[subject].key_for(entry.timestamp)
        if key is None:
            return []
        rows = []
        for part, form in forms.parts():
            sealed = SEALER.seal(entry, part, form)
            names = [name for name in StoredContent.__slots__ if name not in {"key_id", "wrapped"}]
            values = {name: getattr(sealed, name) for name in names}
            row = StoredContent(**values, key_id=key.key_id, wrapped=None)
            assert sealed.sealed is not None
            rows.append(
                StoredContent(**values, key_id=key.key_id, wrapped=wrap(sealed.sealed, key, row.bound))
            )
        write_content(database, "test", rows, [], [])
        return rows
    finally:
        database.close()
        keys.close()
