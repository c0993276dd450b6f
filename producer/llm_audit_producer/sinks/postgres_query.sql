-- Entries by call start and user, oldest first. request_id carries the call's time, so its order is theirs.
SELECT *
FROM llm_audit_log
WHERE (%(start)s::timestamptz IS NULL OR "timestamp" >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR "timestamp" < %(end)s)
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
ORDER BY request_id
