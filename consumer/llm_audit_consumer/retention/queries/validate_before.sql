SELECT llm_audit_validate_before(%(log)s)
