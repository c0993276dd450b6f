-- The calls of a trail's last hours, oldest first; request_id carries the call's time.
SELECT "timestamp", user_id, model, status, input_tokens, output_tokens, cost_usd,
       left(input_hash, 8) AS input_hash
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(now() - interval '6 hours')
ORDER BY request_id
