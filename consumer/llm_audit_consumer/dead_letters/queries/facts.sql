-- All that is known of one dead letter without showing what it says.
SELECT topic, topic_id, partition, "offset", consumer_group, reason, detail, message_timestamp, first_seen_at,
       octet_length(key) AS key_bytes, octet_length(value) AS value_bytes, encode(identity, 'hex') AS identity,
       encode(substring(value FROM 1 FOR 5), 'hex') AS first_bytes
FROM llm_audit_dead_letter
WHERE topic_id = %(topic_id)s AND partition = %(partition)s AND "offset" = %(offset)s
