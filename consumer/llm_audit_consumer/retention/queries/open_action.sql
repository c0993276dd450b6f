INSERT INTO llm_audit_retention_action
    (run_id, operator, as_of, action, partition, retention_class, expired_before, policy, first_id, last_id)
VALUES
    (%(run_id)s, %(operator)s, %(as_of)s, %(action)s, %(partition)s, %(retention_class)s, %(expired_before)s,
     %(policy)s::jsonb, %(first_id)s, %(last_id)s)
RETURNING action_id
