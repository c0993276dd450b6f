-- Content whose entry has not come within the grace: lost on its way, waiting in a spool, or let expire before it.
SELECT content.request_id::text AS request_id, content.part, content.received_at, content.plain_bytes,
       content.retention_class, content.recipient_key_id
FROM llm_audit_content AS content
WHERE content.received_at < now() - %(grace_seconds)s * interval '1 second'
  AND NOT EXISTS (SELECT FROM llm_audit_log AS log WHERE log.request_id = content.request_id)
ORDER BY content.request_id, content.part
LIMIT %(limit)s
