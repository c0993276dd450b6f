-- What was done, newest first.
SELECT action_id, run_id, started_at, finished_at, operator, database_role, as_of, action, partition, retention_class,
       expired_before, policy, first_id, last_id, rows
FROM llm_audit_retention_action
ORDER BY action_id DESC
LIMIT %(limit)s
