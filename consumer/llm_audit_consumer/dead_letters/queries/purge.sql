-- Deletes the oldest of the chosen, so many at a time that no transaction grows long.
DELETE FROM llm_audit_dead_letter AS letter
USING (
    SELECT topic_id, partition, "offset"
    FROM llm_audit_dead_letter
    WHERE
{chosen}    ORDER BY first_seen_at
    LIMIT %(limit)s
) AS old
WHERE (letter.topic_id, letter.partition, letter."offset") = (old.topic_id, old.partition, old."offset")
