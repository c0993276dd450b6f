UPDATE llm_audit_retention_action
SET rows = rows + %(rows)s, finished_at = CASE WHEN %(finished)s THEN clock_timestamp() END
WHERE action_id = %(action_id)s
