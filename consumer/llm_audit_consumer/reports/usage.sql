-- Calls, tokens and cost by UTC day. Beside each sum stands how many calls it knows nothing of: those that reported no
-- tokens, and those without a known price.
SELECT ("timestamp" AT TIME ZONE 'UTC')::date                               AS day,
       count(*)                                                             AS calls,
       count(DISTINCT user_id)                                              AS users,
       sum(input_tokens)                                                    AS input_tokens,
       sum(output_tokens)                                                   AS output_tokens,
       sum(thinking_tokens)                                                 AS of_which_thinking,
       sum(cache_read_tokens)                                               AS cache_read_tokens,
       sum(coalesce(cache_write_5m_tokens, 0)::numeric + coalesce(cache_write_1h_tokens, 0))
           FILTER (WHERE num_nonnulls(cache_write_5m_tokens, cache_write_1h_tokens) > 0) AS cache_write_tokens,
       count(*) FILTER (WHERE num_nonnulls(input_tokens, output_tokens) = 0) AS calls_without_tokens,
       sum(cost_usd)                                                        AS cost_usd,
       count(*) FILTER (WHERE cost_usd IS NULL)                             AS unpriced_calls
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(%(since)s)
  AND request_id < llm_audit_id_at(%(until)s)
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
  AND (%(model)s::text IS NULL OR model = %(model)s)
GROUP BY 1
ORDER BY day DESC
LIMIT %(limit)s
