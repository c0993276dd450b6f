DELETE FROM llm_audit_dead_letter AS letter
USING unnest(%(topic_ids)s::text[], %(partitions)s::integer[], %(offsets)s::bigint[])
    AS place (topic_id, partition, "offset")
WHERE (letter.topic_id, letter.partition, letter."offset") = (place.topic_id, place.partition, place."offset")
