UPDATE llm_audit_legal_hold
SET released_at = now(), released_by = %(released_by)s, release_reason = %(release_reason)s
WHERE hold_id = %(hold_id)s AND released_at IS NULL
