INSERT INTO llm_audit_legal_hold
    (hold_id, placed_by, reason, everything, user_id, tenant, first_request_id, last_request_id)
VALUES
    (%(hold_id)s, %(placed_by)s, %(reason)s, %(everything)s, %(user_id)s, %(tenant)s, %(first_request_id)s,
     %(last_request_id)s)
