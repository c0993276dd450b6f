-- One bounded step along the primary key. The bounds stand twice so that both halves are pruned to one partition.
WITH page AS (
    SELECT request_id
    FROM llm_audit_log AS log
    WHERE request_id BETWEEN %(first_id)s AND %(last_id)s
      AND retention_class = %(retention_class)s
      AND "timestamp" < %(expired_before)s
      AND NOT {held}
    ORDER BY request_id
    LIMIT %(batch_rows)s
), changed AS (
    DELETE FROM llm_audit_log AS log
    USING page
    WHERE log.request_id = page.request_id AND log.request_id BETWEEN %(first_id)s AND %(last_id)s
    RETURNING log.request_id
)
SELECT (SELECT count(*) FROM changed) AS rows, (SELECT request_id FROM page ORDER BY request_id DESC LIMIT 1) AS last_id
