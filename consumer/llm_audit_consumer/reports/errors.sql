-- How each model's calls ended. A call that was left by its caller is no error of the model; one that was blocked never
-- reached it, so it is not in the rate either: error_rate is errors / (calls - blocked), null where none was sent.
WITH counted AS (
    SELECT model, status,
           CASE WHEN status = 'error' THEN coalesce(error_type, '(none)') END AS error_type,
           count(*)                                                           AS calls
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at(%(since)s)
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
    GROUP BY 1, 2, 3
), by_model AS (
    SELECT coalesce(model, '(unknown)')                                 AS model,
           sum(calls)                                                   AS calls,
           coalesce(sum(calls) FILTER (WHERE status = 'error'), 0)      AS errors,
           coalesce(sum(calls) FILTER (WHERE status = 'aborted'), 0)    AS aborted,
           coalesce(sum(calls) FILTER (WHERE status = 'blocked'), 0)    AS blocked,
           json_object_agg(error_type, calls ORDER BY calls DESC, error_type)
               FILTER (WHERE error_type IS NOT NULL)                    AS error_types
    FROM counted
    GROUP BY counted.model
)
SELECT model, calls, errors, round(errors / nullif(calls - blocked, 0), 6) AS error_rate, aborted, blocked, error_types
FROM by_model
ORDER BY error_rate DESC NULLS LAST, calls DESC, model
LIMIT %(limit)s
