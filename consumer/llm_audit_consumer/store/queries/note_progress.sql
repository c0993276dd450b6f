INSERT INTO llm_audit_progress AS known (consumer_group, topic_id, partition, topic, read_through)
VALUES (%(consumer_group)s, %(topic_id)s, %(partition)s, %(topic)s, %(read_through)s)
ON CONFLICT (consumer_group, topic_id, partition) DO UPDATE
SET read_through = greatest(known.read_through, excluded.read_through), topic = excluded.topic
