SELECT pg_advisory_xact_lock(hashtext('llm_audit_migrate'))
