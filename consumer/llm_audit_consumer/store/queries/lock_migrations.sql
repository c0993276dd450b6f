SELECT pg_advisory_lock(hashtext('llm_audit_migrate'))
