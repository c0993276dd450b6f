-- Lives of producers, the latest first; by default only those that are not complete.
SELECT producer_id::text AS producer_id, service, environment, host, process_id, delivery_mode, unclean,
       first_seen_at, last_seen_at, started_at, heartbeat_at, ended_at, claimed_at, last_sequence, dropped,
       received::text AS received, upper(received) - 1 AS highest,
       (SELECT count(*) FROM llm_audit_dead_letter
        WHERE key = convert_to(producer_id::text, 'UTF8')) AS dead_letters
FROM llm_audit_producer
WHERE (%(everyone)s OR NOT complete)
  AND (%(since)s::timestamptz IS NULL OR last_seen_at >= %(since)s)
  AND (%(producer_id)s::uuid IS NULL OR producer_id = %(producer_id)s)
ORDER BY last_seen_at DESC, producer_id
