-- The messages at given places, as they were consumed; those that are gone meanwhile are left out.
SELECT topic_id, partition, "offset", topic, message_timestamp, key, value, identity
FROM llm_audit_dead_letter
JOIN unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS place (topic_id, partition, "offset") USING (topic_id, partition, "offset")
ORDER BY topic_id, partition, "offset"
