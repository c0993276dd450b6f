-- What each class has in one partition, and how much of it has expired. A class without a policy has no moments, so
-- nothing of it is ever due.
SELECT log.retention_class,
       count(*) AS rows,
       count(*) FILTER (WHERE metadata_due AND NOT held) AS metadata,
       count(*) FILTER (WHERE metadata_due IS NOT TRUE AND hashes_due AND NOT held) AS hashes,
       count(*) FILTER (WHERE metadata_due IS NOT TRUE AND errors_due AND NOT held) AS errors,
       count(*) FILTER (WHERE held) AS held
FROM llm_audit_log AS log
LEFT JOIN unnest(%(classes)s::text[], %(metadata_before)s::timestamptz[], %(hashes_before)s::timestamptz[],
                 %(errors_before)s::timestamptz[])
    AS policy (retention_class, metadata_before, hashes_before, errors_before)
    ON policy.retention_class = log.retention_class
CROSS JOIN LATERAL (
    SELECT log."timestamp" < metadata_before AS metadata_due,
           log."timestamp" < hashes_before AND num_nonnulls(
               log.system_prompt_hash, log.input_hash, log.output_hash, log.hash_key_id, log.canonical_form) > 0
               AS hashes_due,
           log."timestamp" < errors_before AND log.error_message IS NOT NULL AS errors_due
) AS due
CROSS JOIN LATERAL (
    SELECT CASE WHEN metadata_due OR hashes_due OR errors_due
                THEN {held} ELSE false END AS held
) AS hold
WHERE log.request_id BETWEEN %(first_id)s AND %(last_id)s
GROUP BY log.retention_class
ORDER BY log.retention_class
