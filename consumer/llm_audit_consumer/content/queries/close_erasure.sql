UPDATE llm_audit_erasure SET finished_at = clock_timestamp() WHERE erasure_id = %(erasure_id)s
