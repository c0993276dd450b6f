SELECT to_regclass('llm_audit_migration') IS NOT NULL AS exists
