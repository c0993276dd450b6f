SELECT key_id FROM llm_audit_user_key WHERE user_mac = :user AND (:tenant IS NULL OR tenant_mac = :tenant)
