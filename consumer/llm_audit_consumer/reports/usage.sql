-- Calls and tokens by UTC day.
SELECT (("timestamp" AT TIME ZONE 'UTC')::date)         AS day,
       count(*)                                         AS calls,
       count(DISTINCT user_id)                          AS users,
       sum(input_tokens)                                AS input_tokens,
       sum(output_tokens)                               AS output_tokens,
       sum(thinking_tokens)                             AS of_which_thinking,
       sum(cache_read_tokens)                           AS cache_read_tokens,
       sum(cost_usd)                                    AS cost_usd
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(%(since)s)
  AND request_id < llm_audit_id_at(%(until)s)
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
  AND (%(model)s::text IS NULL OR model = %(model)s)
GROUP BY 1
ORDER BY day DESC
LIMIT %(limit)s
