-- What the price of each call goes by, and the price it was given, by call start. request_id carries the call's start in
-- milliseconds: its bounds let PostgreSQL skip the partitions of other months.
SELECT
    "timestamp",
    provider,
    status,
    requested_model,
    model,
    input_tokens,
    output_tokens,
    cache_read_tokens,
    cache_write_5m_tokens,
    cache_write_1h_tokens,
    server_tool_requests,
    service_tier,
    inference_geo,
    speed,
    cost_usd,
    cost_reason,
    price_source,
    details -> 'raw_usage' AS raw_usage,
    details ->> 'region' AS region
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at(%(since)s::timestamptz)
  AND request_id < llm_audit_id_at(%(until)s::timestamptz)
  AND (%(user_id)s::text IS NULL OR user_id = %(user_id)s)
  AND (%(model)s::text IS NULL OR model = %(model)s)
