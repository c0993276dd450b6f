INSERT INTO llm_audit_key_store (secret) VALUES (%(secret)s) ON CONFLICT (id) DO NOTHING
