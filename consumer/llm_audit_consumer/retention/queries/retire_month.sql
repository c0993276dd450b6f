SELECT llm_audit_retire_month(%(log)s, %(month)s) AS name
