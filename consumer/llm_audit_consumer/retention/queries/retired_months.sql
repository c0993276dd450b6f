-- Months that a run took out, and could not drop any more.
SELECT month.relname AS name
FROM pg_class AS month JOIN pg_class AS log ON log.oid = to_regclass('llm_audit_log')
WHERE month.relnamespace = log.relnamespace AND month.relkind = 'r'
  AND month.relname ~ '^llm_audit_retired_(log|content)_\d{4}_\d\d$'
ORDER BY month.relname
