INSERT INTO llm_audit_user_key (key_id, user_mac, tenant_mac, key) VALUES (:key_id, :user, :tenant, :key)
ON CONFLICT (user_mac, tenant_mac) DO NOTHING
