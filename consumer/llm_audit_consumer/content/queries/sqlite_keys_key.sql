SELECT key FROM llm_audit_user_key WHERE key_id = :key_id
