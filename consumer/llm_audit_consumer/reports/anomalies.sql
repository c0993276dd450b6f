-- Days on which a user's tokens lie far above that same user's own other days.
--
-- The baseline is the median and the spread the median absolute deviation (times 1.4826 it estimates a standard
-- deviation: Rousseeuw and Croux, 1993), because one wild day hides itself in a mean. A spread below a tenth of the
-- median counts as that, so that a very even user is not blamed for a small step.
--
-- Days are whole UTC days: the first is read from its midnight, and `history_days` before it are part of the baseline
-- without being judged. A day whose calls reported no tokens is no sample of zero, so it is left out of the baseline.
-- Whoever was active and has fewer samples than `minimum_days` is named once, on the last day, and not judged.
WITH daily AS (
    SELECT user_id,
           ("timestamp" AT TIME ZONE 'UTC')::date AS day,
           count(*)                               AS calls,
           sum(coalesce(input_tokens, 0)::numeric + coalesce(output_tokens, 0) + coalesce(cache_read_tokens, 0)
               + coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0))
               FILTER (WHERE num_nonnulls(input_tokens, output_tokens, cache_read_tokens, cache_write_5m_tokens,
                                          cache_write_1h_tokens) > 0) AS tokens
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at((date_trunc('day', %(since)s AT TIME ZONE 'UTC')
                                         - make_interval(days => %(history_days)s)) AT TIME ZONE 'UTC')
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
    GROUP BY 1, 2
), baseline AS (
    SELECT user_id, count(tokens) AS days, max(day) AS last_day,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY tokens)::numeric AS median
    FROM daily GROUP BY user_id
), spread AS (
    SELECT user_id, days, last_day, median,
           greatest(1.4826 * percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(tokens - median))::numeric,
                    0.1 * median, 1) AS deviation
    FROM daily JOIN baseline USING (user_id) GROUP BY user_id, days, last_day, median
), judged AS (
    SELECT user_id, day, calls, tokens, days, days >= %(minimum_days)s AS enough, day = last_day AS is_last,
           median, (tokens - median) / deviation AS deviations
    FROM daily JOIN spread USING (user_id)
    WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date
)
SELECT user_id, day, calls, tokens,
       CASE WHEN enough THEN round(median) END        AS usual_tokens,
       days,
       CASE WHEN enough THEN round(deviations, 1) END AS deviations,
       CASE WHEN enough THEN 'anomaly' ELSE 'too few days' END AS verdict
FROM judged
WHERE (enough AND deviations > %(threshold)s) OR (NOT enough AND is_last)
ORDER BY enough DESC, deviations DESC NULLS LAST, user_id, day
LIMIT %(limit)s
