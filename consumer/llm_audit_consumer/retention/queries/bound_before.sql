SELECT llm_audit_bound_before(%(log)s)
