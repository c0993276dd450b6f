EXISTS (
    SELECT FROM llm_audit_legal_hold AS hold
    WHERE hold.released_at IS NULL
      AND (hold.user_id IS NULL OR hold.user_id = log.user_id)
      AND (hold.tenant IS NULL OR hold.tenant = log.tenant)
      AND (hold.first_request_id IS NULL OR hold.first_request_id <= log.request_id)
      AND (hold.last_request_id IS NULL OR hold.last_request_id >= log.request_id))
