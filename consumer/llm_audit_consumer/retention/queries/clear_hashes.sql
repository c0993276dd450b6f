-- As delete_rows.sql. Which key made a hash says something of it, so that goes too; content_mode stays and says that
-- there was one.
WITH page AS (
    SELECT request_id
    FROM llm_audit_log AS log
    WHERE request_id BETWEEN %(first_id)s AND %(last_id)s
      AND retention_class = %(retention_class)s
      AND "timestamp" < %(expired_before)s
      AND num_nonnulls(system_prompt_hash, input_hash, output_hash, hash_key_id, canonical_form) > 0
      AND NOT {held}
    ORDER BY request_id
    LIMIT %(batch_rows)s
), changed AS (
    UPDATE llm_audit_log AS log
    SET system_prompt_hash = NULL, input_hash = NULL, output_hash = NULL, hash_key_id = NULL, canonical_form = NULL
    FROM page
    WHERE log.request_id = page.request_id AND log.request_id BETWEEN %(first_id)s AND %(last_id)s
    RETURNING log.request_id
)
SELECT (SELECT count(*) FROM changed) AS rows, (SELECT request_id FROM page ORDER BY request_id DESC LIMIT 1) AS last_id
