UPDATE llm_audit_dead_letter
SET reason = %(reason)s, detail = %(detail)s
WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND "offset" = %(offset)s
    AND (reason, detail) IS DISTINCT FROM (%(reason)s, %(detail)s)
