CREATE TABLE IF NOT EXISTS llm_audit_key_store (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    secret  BLOB NOT NULL
);
-- tenant is empty where the user has none.
CREATE TABLE IF NOT EXISTS llm_audit_user_key (
    key_id    TEXT PRIMARY KEY,
    user_mac  BLOB NOT NULL,
    tenant_mac  BLOB NOT NULL,
    key       BLOB NOT NULL,
    UNIQUE (user_mac, tenant_mac)
);
-- tenant is null where the user was erased of all tenants.
CREATE TABLE IF NOT EXISTS llm_audit_key_tombstone (
    user_mac    BLOB NOT NULL,
    tenant_mac  BLOB,
    erased_at   REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS llm_audit_key_tombstone_user ON llm_audit_key_tombstone (user_mac);
