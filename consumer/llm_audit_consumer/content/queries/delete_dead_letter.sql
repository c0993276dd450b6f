DELETE FROM llm_audit_dead_letter
WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND "offset" = %(offset)s
