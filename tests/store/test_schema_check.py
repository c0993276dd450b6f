"""A table that is not what the migrations make is named before anything is written."""

from __future__ import annotations

import pytest

from llm_audit_consumer.batch import Written
from llm_audit_consumer.errors import SchemaMismatchError
from llm_audit_consumer.store import AuditStore
from tests.parts.databases import Database
from tests.store.rows import GROUP, batch, count, entry, fetch, row_of

ALTERATIONS = {
    "ALTER TABLE llm_audit_log DROP COLUMN stop_reason": "llm_audit_log lacks the column stop_reason",
    "ALTER TABLE llm_audit_log ALTER COLUMN latency_ms TYPE numeric": "latency_ms of table llm_audit_log is numeric",
    "ALTER TABLE llm_audit_log ALTER COLUMN cost_usd TYPE numeric(12, 2)": r"cost_usd .* is numeric\(12,2\)",
    "ALTER TABLE llm_audit_log ALTER COLUMN metadata TYPE text": "metadata of table llm_audit_log is text",
    "ALTER TABLE llm_audit_log DROP COLUMN tool_names, ADD COLUMN tool_names text": "tool_names .* is text, .*text",
    "ALTER TABLE llm_audit_log DROP CONSTRAINT llm_audit_log_pkey": "llm_audit_log has the primary key",
    "ALTER TABLE llm_audit_offset DROP CONSTRAINT llm_audit_offset_pkey": "llm_audit_offset has the primary key",
    'ALTER TABLE llm_audit_dead_letter DROP COLUMN "offset"': "llm_audit_dead_letter lacks the column offset",
    "ALTER TABLE llm_audit_dead_letter ALTER COLUMN value TYPE text USING ''": "value .* must be bytea",
    "DROP TABLE llm_audit_dead_letter": "llm_audit_dead_letter is missing",
    "DROP TABLE llm_audit_offset": "llm_audit_offset is missing",
    "DROP TABLE llm_audit_log": "llm_audit_log is missing",
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_a_table_someone_altered_is_named(alteration: str, store: AuditStore, database: Database) -> None:
    store.verify_schema()
    fetch(database.dsn, alteration)
    with pytest.raises(SchemaMismatchError, match=ALTERATIONS[alteration]):
        store.verify_schema()


def test_a_database_without_tables_is_told_how_to_get_them(database: Database) -> None:
    store = AuditStore(database.dsn)
    with pytest.raises(SchemaMismatchError, match="is missing") as caught:
        store.verify_schema()
    assert "llm-audit migrate" in caught.value.hint
    with pytest.raises(SchemaMismatchError):
        store.write(GROUP, batch([row_of(entry())], None, 1))
    store.close()


def test_a_further_column_does_no_harm(store: AuditStore, database: Database) -> None:
    fetch(database.dsn, "ALTER TABLE llm_audit_log ADD COLUMN cost_centre text")
    store.verify_schema()
    assert store.write(GROUP, batch([row_of(entry())], None, 1)) == Written(1, 0, 0)


def test_columns_that_change_places_under_a_running_session_do_not_mix(
    store: AuditStore, database: Database
) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 1))
    fetch(database.dsn, "ALTER TABLE llm_audit_log DROP COLUMN prev_digest, DROP COLUMN entry_mac")
    fetch(database.dsn, "ALTER TABLE llm_audit_log ADD COLUMN entry_mac bytea, ADD COLUMN prev_digest bytea")
    row = row_of(entry(prev_digest=b"prev", entry_mac=b"mac", mac_key_id="key", digest_salts={"a": "b"}))
    store.write(GROUP, batch([row], 1, 2))
    ((digest, mac, key_id),) = fetch(
        database.dsn,
        "SELECT prev_digest, entry_mac, mac_key_id FROM llm_audit_log WHERE entry_mac IS NOT NULL",
    )
    assert (bytes(digest), bytes(mac), key_id) == (b"prev", b"mac", "key")


def test_a_column_dropped_under_a_running_session_stops_the_write(
    store: AuditStore, database: Database
) -> None:
    store.write(GROUP, batch([row_of(entry())], None, 1))
    fetch(database.dsn, "ALTER TABLE llm_audit_log DROP COLUMN tenant CASCADE")
    with pytest.raises(SchemaMismatchError, match="tenant"):
        store.write(GROUP, batch([row_of(entry())], 1, 2))
    assert count(database.dsn) == 1
