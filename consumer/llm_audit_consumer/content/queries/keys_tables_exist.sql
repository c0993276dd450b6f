SELECT to_regclass('llm_audit_key_tombstone') IS NOT NULL AS there
