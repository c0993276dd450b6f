-- The next chosen places after one, with the size of what lies there.
SELECT topic_id, partition, "offset", coalesce(octet_length(value), 0) AS bytes
FROM llm_audit_dead_letter
WHERE (topic_id, partition, "offset") > (%(topic_id)s, %(partition)s, %(offset)s) AND
{chosen}ORDER BY topic_id, partition, "offset"
LIMIT %(limit)s
