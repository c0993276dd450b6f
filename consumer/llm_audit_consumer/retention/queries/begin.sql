-- For this transaction: as retention, which must be said; and never in the way of others for long.
SELECT set_config('role', 'llm_audit_retention', true),
       set_config('lock_timeout', %(lock_timeout_ms)s::text, true),
       set_config('statement_timeout', '0', true)
