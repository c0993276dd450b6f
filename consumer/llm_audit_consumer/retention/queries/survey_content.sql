-- What each class has in one partition of the content, and how much of it has expired. An entry says when its content
-- was made and whose it is; content without one counts from when its id says or when it came, whichever is first, and is
-- held by any hold that might mean it.
SELECT content.retention_class,
       count(*) AS rows,
       count(*) FILTER (WHERE due AND NOT held) AS metadata,
       0 AS hashes,
       0 AS errors,
       count(*) FILTER (WHERE held) AS held
FROM llm_audit_content AS content
LEFT JOIN llm_audit_log AS log
    ON log.request_id = content.request_id AND log.request_id BETWEEN %(first_id)s AND %(last_id)s
LEFT JOIN unnest(%(classes)s::text[], %(content_before)s::timestamptz[]) AS policy (retention_class, expired_before)
    ON policy.retention_class = content.retention_class
CROSS JOIN LATERAL (
    SELECT coalesce(log."timestamp", least(llm_audit_moment_of(content.request_id), content.received_at))
               < expired_before AS due
) AS judged
CROSS JOIN LATERAL (SELECT CASE WHEN due THEN {content_held} ELSE false END AS held) AS hold
WHERE content.request_id BETWEEN %(first_id)s AND %(last_id)s
GROUP BY content.retention_class
ORDER BY content.retention_class
