-- What each user spent on each model. A call without a known price is counted beside the sum, with the reasons, however
-- it ended: one that was left half-way may well have been billed.
WITH counted AS (
    SELECT user_id, model,
           CASE WHEN cost_usd IS NULL THEN coalesce(cost_reason, '(none)') END AS reason,
           count(*)                                                            AS calls,
           sum(input_tokens)                                                   AS input_tokens,
           sum(output_tokens)                                                  AS output_tokens,
           sum(cache_read_tokens)                                              AS cache_read_tokens,
           sum(coalesce(cache_write_5m_tokens, 0)::numeric + coalesce(cache_write_1h_tokens, 0))
               FILTER (WHERE num_nonnulls(cache_write_5m_tokens, cache_write_1h_tokens) > 0) AS cache_write_tokens,
           sum(cost_usd)                                                       AS cost_usd
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at(%(since)s)
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
    GROUP BY 1, 2, 3
)
SELECT user_id,
       coalesce(model, '(unknown)')                                               AS model,
       sum(calls)                                                                 AS calls,
       sum(input_tokens)                                                          AS input_tokens,
       sum(output_tokens)                                                         AS output_tokens,
       sum(cache_read_tokens)                                                     AS cache_read_tokens,
       sum(cache_write_tokens)                                                    AS cache_write_tokens,
       sum(cost_usd)                                                              AS cost_usd,
       coalesce(sum(calls) FILTER (WHERE reason IS NOT NULL), 0)                  AS unpriced_calls,
       json_object_agg(reason, calls ORDER BY calls DESC, reason) FILTER (WHERE reason IS NOT NULL) AS unpriced_reasons
FROM counted
GROUP BY counted.user_id, counted.model
ORDER BY cost_usd DESC NULLS LAST, calls DESC, user_id, model
LIMIT %(limit)s
