-- The original bytes of one dead letter, up to a number of them.
SELECT substring(value FROM 1 FOR %(most)s) AS value
FROM llm_audit_dead_letter
WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND "offset" = %(offset)s
