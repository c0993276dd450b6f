SELECT max(erased_at) FROM llm_audit_key_tombstone
WHERE user_mac = :user AND (tenant_mac IS NULL OR tenant_mac = :tenant)
