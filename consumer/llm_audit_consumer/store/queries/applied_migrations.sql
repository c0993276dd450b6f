SELECT version, name, sha256 FROM llm_audit_migration ORDER BY version
