-- For this transaction: what a migration makes belongs to llm_audit_owner, once the tables do (0004_roles).
SELECT set_config('role', 'llm_audit_owner', true)
FROM pg_class
WHERE oid = to_regclass('llm_audit_migration') AND pg_get_userbyid(relowner) = 'llm_audit_owner'
