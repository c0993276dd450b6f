-- Of each topic's partitions the one that is furthest behind; of a topic that was made anew, only its present life.
SELECT topic, min(read_through) AS read_through
FROM llm_audit_progress
WHERE consumer_group = %(consumer_group)s
  AND (topic, topic_id) IN (
      SELECT DISTINCT ON (topic) topic, topic_id
      FROM llm_audit_progress
      WHERE consumer_group = %(consumer_group)s
      ORDER BY topic, read_through DESC)
GROUP BY topic
