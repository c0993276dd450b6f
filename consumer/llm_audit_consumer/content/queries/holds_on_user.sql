-- Holds that reach anything of this user: one that names the user or everything, or one on a row that is there.
SELECT hold_id::text AS hold_id, placed_by, reason
FROM llm_audit_legal_hold AS hold
WHERE released_at IS NULL
  AND (user_id IS NULL OR user_id = %(user_id)s)
  AND (tenant IS NULL OR %(tenant)s::text IS NULL OR tenant = %(tenant)s)
  AND (everything
       OR (user_id IS NOT NULL AND first_request_id IS NULL AND last_request_id IS NULL)
       OR EXISTS (
           SELECT
           FROM llm_audit_log AS log
           WHERE log.user_id = %(user_id)s
             AND (%(tenant)s::text IS NULL OR log.tenant = %(tenant)s)
             AND (hold.tenant IS NULL OR log.tenant = hold.tenant)
             AND (hold.first_request_id IS NULL OR log.request_id >= hold.first_request_id)
             AND (hold.last_request_id IS NULL OR log.request_id <= hold.last_request_id)))
ORDER BY placed_at
