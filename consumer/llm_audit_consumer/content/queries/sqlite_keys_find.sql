SELECT key_id, key FROM llm_audit_user_key WHERE user_mac = :user AND tenant_mac = :tenant
