CREATE TABLE IF NOT EXISTS llm_audit_migration (
    version     integer      PRIMARY KEY,
    name        text         NOT NULL,
    sha256      text         NOT NULL,
    applied_at  timestamptz  NOT NULL DEFAULT now()
)
