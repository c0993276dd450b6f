SELECT part, plain_bytes, truncated, received_at, sealing, recipient_key_id, key_id::text AS key_id, retention_class
FROM llm_audit_content
WHERE request_id = %(request_id)s
ORDER BY part
