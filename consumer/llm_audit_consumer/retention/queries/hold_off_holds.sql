-- A hold that is placed meanwhile waits until this transaction is over; those already placed are seen from here on.
SELECT pg_advisory_xact_lock_shared(hashtext('llm_audit_legal_hold'))
