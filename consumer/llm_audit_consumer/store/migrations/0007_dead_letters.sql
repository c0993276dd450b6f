-- A dead letter that still cannot be decoded keeps the reason of today: llm-audit dead-letters replay, run by a login
-- that is a member of llm_audit_retention (deletes and changes dead letters) and of llm_audit_writer (adds entries).
GRANT UPDATE (reason, detail) ON llm_audit_dead_letter TO llm_audit_retention;
