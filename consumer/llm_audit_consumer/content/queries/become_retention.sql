-- For this transaction: as retention, which alone may change the log. No hold is placed until it is over, and those
-- that are there already are seen from here on.
SELECT set_config('role', 'llm_audit_retention', true), pg_advisory_xact_lock_shared(hashtext('llm_audit_legal_hold'))
