CREATE TABLE IF NOT EXISTS llm_audit_key_store (
    id      boolean  NOT NULL DEFAULT true CHECK (id),
    secret  bytea    NOT NULL,
    PRIMARY KEY (id)
);
-- tenant_mac is empty where the user has no tenant.
CREATE TABLE IF NOT EXISTS llm_audit_user_key (
    key_id      uuid         NOT NULL,
    user_mac    bytea        NOT NULL,
    tenant_mac  bytea        NOT NULL,
    key         bytea        NOT NULL,
    made_at     timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (key_id),
    UNIQUE (user_mac, tenant_mac)
);
-- tenant_mac is null where the user was erased of all tenants.
CREATE TABLE IF NOT EXISTS llm_audit_key_tombstone (
    user_mac    bytea        NOT NULL,
    tenant_mac  bytea,
    erased_at   timestamptz  NOT NULL
);
CREATE INDEX IF NOT EXISTS llm_audit_key_tombstone_user ON llm_audit_key_tombstone (user_mac);
