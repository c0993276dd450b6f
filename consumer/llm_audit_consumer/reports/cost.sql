-- What each user spent on each model. Calls without a known price are counted beside the sum, never taken for zero.
SELECT user_id,
       coalesce(model, '(unknown)')                                   AS model,
       count(*)                                                       AS calls,
       count(*) FILTER (WHERE cost_usd IS NULL AND status = 'success') AS unpriced_calls,
       sum(input_tokens)                                              AS input_tokens,
       sum(output_tokens)                                             AS output_tokens,
       sum(cost_usd)                                                  AS cost_usd
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(%(since)s)
  AND request_id < llm_audit_id_at(%(until)s)
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
  AND (%(model)s::text IS NULL OR model = %(model)s)
GROUP BY user_id, coalesce(model, '(unknown)')
ORDER BY cost_usd DESC NULLS LAST, calls DESC, user_id, model
LIMIT %(limit)s
