-- One at a time: two that decode the same dead letters again would wait for each other's rows.
SELECT pg_advisory_xact_lock(hashtext('llm_audit_dead_letter'))
