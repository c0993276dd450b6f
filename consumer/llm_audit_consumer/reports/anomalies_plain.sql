-- The plain form: days above the mean of all users' days by more than so many standard deviations. It blames whoever is
-- merely heavier than the others; anomalies.sql does not.
WITH daily AS (
    SELECT user_id,
           ("timestamp" AT TIME ZONE 'UTC')::date AS day,
           count(*)                               AS calls,
           sum(coalesce(input_tokens, 0)::numeric + coalesce(output_tokens, 0))
               FILTER (WHERE num_nonnulls(input_tokens, output_tokens) > 0) AS tokens
    FROM llm_audit_log
    WHERE request_id >= llm_audit_id_at(%(since)s)
      AND request_id < llm_audit_id_at(%(until)s)
      AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
      AND (%(model)s::text IS NULL OR model = %(model)s)
    GROUP BY 1, 2
), overall AS (
    SELECT avg(tokens) AS mean, stddev_samp(tokens) AS deviation, count(tokens) AS days FROM daily
)
SELECT user_id, day, calls, tokens, round(mean) AS usual_tokens, days,
       round((tokens - mean) / nullif(deviation, 0), 1) AS deviations, 'anomaly' AS verdict
FROM daily CROSS JOIN overall
WHERE tokens > mean + %(threshold)s * deviation
ORDER BY deviations DESC, user_id, day
LIMIT %(limit)s
