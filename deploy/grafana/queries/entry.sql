-- One entry, a field a line. What is no request id is cut to null before the cast, and so finds nothing.
SELECT field.key AS field, field.value #>> '{}' AS value
FROM llm_audit_log
CROSS JOIN LATERAL jsonb_each(to_jsonb(llm_audit_log)) AS field
WHERE request_id = substring(${request_id:sqlstring} FROM '^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z')::uuid
  AND field.value <> 'null'
ORDER BY field.key
