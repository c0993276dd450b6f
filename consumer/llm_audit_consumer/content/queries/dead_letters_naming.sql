SELECT topic_id, topic, partition, "offset", value
FROM llm_audit_dead_letter
WHERE position(%(user_bytes)s::bytea IN value) > 0
  AND (topic_id, partition, "offset") > (%(topic_id)s, %(partition)s, %(offset)s)
ORDER BY topic_id, partition, "offset"
LIMIT %(batch_rows)s
