INSERT INTO llm_audit_offset (consumer_group, topic_id, partition, topic, next_offset)
VALUES (%(consumer_group)s, %(topic_id)s, %(partition)s, %(topic)s, %(next_offset)s)
ON CONFLICT (consumer_group, topic_id, partition) DO NOTHING
