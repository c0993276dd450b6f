SELECT hold_id, released_at FROM llm_audit_legal_hold WHERE hold_id = %(hold_id)s
