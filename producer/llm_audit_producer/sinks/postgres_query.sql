-- Entries by call start and user, oldest first. request_id carries the call's start in milliseconds: its bounds let
-- PostgreSQL skip the partitions of other months.
SELECT *
FROM llm_audit_log
WHERE (%(start)s::timestamptz IS NULL
       OR (request_id >= llm_audit_id_at(%(start)s::timestamptz) AND "timestamp" >= %(start)s))
  AND (%(end)s::timestamptz IS NULL
       OR (request_id < llm_audit_id_at(%(end)s::timestamptz + interval '1 millisecond') AND "timestamp" < %(end)s))
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
ORDER BY "timestamp", request_id
