-- Into the log, in the order of the primary key; what is there already, or stands twice in the batch, stays as it is.
INSERT INTO llm_audit_log SELECT * FROM llm_audit_staging ORDER BY request_id ON CONFLICT (request_id) DO NOTHING
