SELECT hold_id, placed_at, placed_by, database_role, reason, everything, user_id, tenant, first_request_id,
       last_request_id, released_at, released_by, release_reason
FROM llm_audit_legal_hold
WHERE %(released_too)s OR released_at IS NULL
ORDER BY placed_at, hold_id
