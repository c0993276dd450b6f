-- How each model's calls ended, as `llm-audit report errors` counts: error_rate is errors / (calls - blocked).
SELECT coalesce(model, '(unknown)') AS model, count(*) AS calls,
       count(*) FILTER (WHERE status = 'error') AS errors,
       count(*) FILTER (WHERE status = 'aborted') AS aborted,
       count(*) FILTER (WHERE status = 'blocked') AS blocked,
       round(count(*) FILTER (WHERE status = 'error')::numeric
             / nullif(count(*) FILTER (WHERE status <> 'blocked'), 0), 6) AS error_rate
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at($__timeFrom())
  AND request_id < llm_audit_id_at($__timeTo())
  AND (${user:sqlstring} = '' OR user_id = ${user:sqlstring})
  AND (${model:sqlstring} = '' OR model = ${model:sqlstring})
GROUP BY 1
ORDER BY error_rate DESC NULLS LAST, calls DESC
