-- Facts of the chosen dead letters, the newest first; never the message itself.
SELECT first_seen_at, reason, detail, topic, topic_id, partition, "offset", octet_length(value) AS bytes
FROM llm_audit_dead_letter
WHERE
{chosen}ORDER BY first_seen_at DESC, topic_id, partition, "offset"
LIMIT %(limit)s
