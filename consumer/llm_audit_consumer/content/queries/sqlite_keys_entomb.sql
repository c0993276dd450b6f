INSERT INTO llm_audit_key_tombstone (user_mac, tenant_mac, erased_at) VALUES (:user, :tenant, :at)
