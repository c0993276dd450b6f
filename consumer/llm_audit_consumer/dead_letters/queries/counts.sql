-- How many of the chosen there are, by reason and topic.
SELECT reason, topic, count(*) AS messages, coalesce(sum(octet_length(value)), 0)::bigint AS bytes,
       min(first_seen_at) AS first_seen, max(first_seen_at) AS last_seen
FROM llm_audit_dead_letter
WHERE
{chosen}GROUP BY reason, topic
ORDER BY messages DESC, reason, topic
