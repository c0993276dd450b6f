-- Days on which a user's tokens lie far above that same user's own other days.
--
-- The baseline is the median and the spread the median absolute deviation (times 1.4826 it estimates a standard
-- deviation: Rousseeuw and Croux, 1993), because one wild day hides itself in a mean. A spread below a tenth of the
-- median counts as that, so that a very even user is not blamed for a small step. Who has too few days is named with the
-- verdict `too few days`, on the last of them, and not judged.
WITH daily AS (
    SELECT user_id,
           ("timestamp" AT TIME ZONE 'UTC')::date                                     AS day,
           count(*)                                                                   AS calls,
           sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0) + coalesce(cache_read_tokens, 0)
               + coalesce(cache_write_5m_tokens, 0) + coalesce(cache_write_1h_tokens, 0)) AS tokens
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at(%(since)s)
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
    GROUP BY 1, 2
), baseline AS (
    SELECT user_id, count(*) AS days, max(day) AS last_day,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY tokens)::numeric AS median
    FROM daily GROUP BY user_id
), spread AS (
    SELECT user_id, days, last_day, median,
           greatest(1.4826 * percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(tokens - median))::numeric,
                    0.1 * median, 1) AS deviation
    FROM daily JOIN baseline USING (user_id) GROUP BY user_id, days, last_day, median
)
SELECT user_id, day, calls, tokens, round(median) AS usual_tokens, days,
       round((tokens - median) / deviation, 1) AS deviations,
       CASE WHEN days < %(minimum_days)s THEN 'too few days' ELSE 'anomaly' END AS verdict
FROM daily JOIN spread USING (user_id)
WHERE (days >= %(minimum_days)s AND tokens - median > %(threshold)s * deviation)
   OR (days < %(minimum_days)s AND day = last_day)
ORDER BY verdict, deviations DESC, user_id, day
LIMIT %(limit)s
