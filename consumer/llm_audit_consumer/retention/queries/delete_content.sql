-- As delete_rows.sql, of the content.
WITH page AS (
    SELECT content.request_id, content.part
    FROM llm_audit_content AS content
    LEFT JOIN llm_audit_log AS log
        ON log.request_id = content.request_id AND log.request_id BETWEEN %(first_id)s AND %(last_id)s
    WHERE content.request_id BETWEEN %(first_id)s AND %(last_id)s
      AND content.retention_class = %(retention_class)s
      AND coalesce(log."timestamp", least(llm_audit_moment_of(content.request_id), content.received_at))
          < %(expired_before)s
      AND NOT {content_held}
    ORDER BY content.request_id, content.part
    LIMIT %(batch_rows)s
), changed AS (
    DELETE FROM llm_audit_content AS old
    USING page
    WHERE old.request_id = page.request_id AND old.part = page.part
      AND old.request_id BETWEEN %(first_id)s AND %(last_id)s
    RETURNING old.request_id
)
SELECT (SELECT count(*) FROM changed) AS rows, (SELECT request_id FROM page ORDER BY request_id DESC LIMIT 1) AS last_id
