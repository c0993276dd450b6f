SELECT llm_audit_create_content_partitions(%(through)s) AS made
