SELECT llm_audit_create_partitions(%(through)s) AS made
