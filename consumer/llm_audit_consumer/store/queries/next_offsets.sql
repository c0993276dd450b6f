SELECT partition, next_offset
FROM llm_audit_offset
WHERE consumer_group = %(consumer_group)s AND topic_id = %(topic_id)s
