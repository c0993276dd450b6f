-- As delete_rows.sql. The free text goes; the error's type and HTTP status are metadata, and stay.
WITH page AS (
    SELECT request_id
    FROM llm_audit_log AS log
    WHERE request_id BETWEEN %(first_id)s AND %(last_id)s
      AND retention_class = %(retention_class)s
      AND "timestamp" < %(expired_before)s
      AND error_message IS NOT NULL
      AND NOT {held}
    ORDER BY request_id
    LIMIT %(batch_rows)s
), changed AS (
    UPDATE llm_audit_log AS log
    SET error_message = NULL
    FROM page
    WHERE log.request_id = page.request_id AND log.request_id BETWEEN %(first_id)s AND %(last_id)s
    RETURNING log.request_id
)
SELECT (SELECT count(*) FROM changed) AS rows, (SELECT request_id FROM page ORDER BY request_id DESC LIMIT 1) AS last_id
