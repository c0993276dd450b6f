SELECT * FROM llm_audit_log WHERE request_id = %(request_id)s
