-- What each user did in the time chosen. A cost that is not known is in no sum, and is counted beside it.
SELECT user_id, count(*) AS calls, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
       sum(cost_usd) AS cost_usd, count(*) FILTER (WHERE cost_usd IS NULL) AS calls_without_cost
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at($__timeFrom())
  AND request_id < llm_audit_id_at($__timeTo())
  AND (${user:sqlstring} = '' OR user_id = ${user:sqlstring})
  AND (${model:sqlstring} = '' OR model = ${model:sqlstring})
GROUP BY user_id
ORDER BY cost_usd DESC NULLS LAST, calls DESC
LIMIT 100
