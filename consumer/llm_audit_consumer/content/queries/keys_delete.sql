DELETE FROM llm_audit_user_key
WHERE user_mac = %(user_mac)s AND (%(tenant_mac)s::bytea IS NULL OR tenant_mac = %(tenant_mac)s)
