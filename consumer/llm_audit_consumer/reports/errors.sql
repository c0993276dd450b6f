-- How each model's calls ended. A call that was blocked or left by its caller is no error of the model.
WITH calls AS (
    SELECT coalesce(model, '(unknown)') AS model, status, error_type
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at(%(since)s)
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
), kinds AS (
    SELECT model, string_agg(error_type || ' ' || occurrences, ', ' ORDER BY occurrences DESC, error_type) AS error_types
    FROM (SELECT model, coalesce(error_type, '(none)') AS error_type, count(*) AS occurrences
          FROM calls WHERE status = 'error' GROUP BY 1, 2) AS counted
    GROUP BY model
)
SELECT model,
       count(*)                                                              AS calls,
       count(*) FILTER (WHERE status = 'error')                              AS errors,
       round(count(*) FILTER (WHERE status = 'error')::numeric / count(*), 4) AS error_rate,
       count(*) FILTER (WHERE status = 'aborted')                            AS aborted,
       count(*) FILTER (WHERE status = 'blocked')                            AS blocked,
       kinds.error_types
FROM calls LEFT JOIN kinds USING (model)
GROUP BY model, kinds.error_types
ORDER BY error_rate DESC, calls DESC, model
LIMIT %(limit)s
