-- In the order of the key, so that two consumers never wait for each other in a circle.
INSERT INTO llm_audit_producer AS known (producer_id, received)
SELECT producer_id, range_agg(int8range(first, last, '[]'))
FROM unnest(%(producer_ids)s::uuid[], %(firsts)s::bigint[], %(lasts)s::bigint[]) AS arrived (producer_id, first, last)
GROUP BY producer_id
ORDER BY producer_id
ON CONFLICT (producer_id) DO UPDATE
SET received = known.received + excluded.received, last_seen_at = now()
