INSERT INTO llm_audit_dead_letter
    (topic_id, partition, "offset", topic, consumer_group, reason, detail, message_timestamp, key, value, identity)
VALUES
    (%(topic_id)s, %(partition)s, %(offset)s, %(topic)s, %(consumer_group)s, %(reason)s, %(detail)s,
     %(message_timestamp)s, %(key)s, %(value)s, %(identity)s)
ON CONFLICT (topic_id, partition, "offset") DO NOTHING
