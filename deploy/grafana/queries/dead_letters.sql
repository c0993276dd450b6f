-- Messages that became no row, without the messages themselves: an auditor may not read those.
SELECT first_seen_at, reason, detail, topic, partition, "offset"
FROM llm_audit_dead_letter
WHERE $__timeFilter(first_seen_at)
ORDER BY first_seen_at DESC
LIMIT 100
