-- One run at a time; given back when the connection closes.
SELECT pg_try_advisory_lock(hashtext('llm_audit_retention')) AS taken
