-- Into the log, in the order of the primary key; what is there already, or stands twice in the batch, stays as it is.
-- Columns by name: a session's staging table may be older than the log it was made like.
INSERT INTO llm_audit_log ({columns})
SELECT {columns}
FROM llm_audit_staging
ORDER BY request_id
ON CONFLICT (request_id) DO NOTHING
