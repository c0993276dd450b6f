-- The calls of a trail's last hours, oldest first; request_id carries the call's time.
SELECT "timestamp", user_id, model, status, input_tokens, output_tokens, cost_usd, latency_ms, attempts,
       left(input_hash, 12) AS input_hash, coalesce(error_type, stop_reason) AS ended
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(now() - interval '6 hours')
ORDER BY request_id
