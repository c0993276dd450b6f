-- Only where it still stands where this consumer believes: another consumer's advance makes this one's batch roll back.
UPDATE llm_audit_offset
SET next_offset = %(next_offset)s, updated_at = now()
WHERE consumer_group = %(consumer_group)s AND topic_id = %(topic_id)s AND partition = %(partition)s
  AND next_offset = %(expected)s
