-- How many rows a hold keeps, in the partitions that its range allows.
SELECT count(*) AS rows
FROM llm_audit_log
WHERE (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
  AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
  AND (%(first_request_id)s::uuid IS NULL OR request_id >= %(first_request_id)s)
  AND (%(last_request_id)s::uuid IS NULL OR request_id <= %(last_request_id)s)
