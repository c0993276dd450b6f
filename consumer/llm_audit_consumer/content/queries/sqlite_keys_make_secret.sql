INSERT INTO llm_audit_key_store (id, secret) VALUES (1, ?) ON CONFLICT DO NOTHING
