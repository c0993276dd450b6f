SELECT count(*) AS complete, coalesce(sum(last_sequence + 1), 0)::bigint AS entries
FROM llm_audit_producer
WHERE complete
  AND (%(since)s::timestamptz IS NULL OR last_seen_at >= %(since)s)
  AND (%(producer_id)s::uuid IS NULL OR producer_id = %(producer_id)s)
