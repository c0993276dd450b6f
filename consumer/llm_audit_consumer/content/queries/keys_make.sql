-- In the order of the unique index, so that two consumers do not wait for each other in a circle.
INSERT INTO llm_audit_user_key (key_id, user_mac, tenant_mac, key)
SELECT wanted.key_id, wanted.user_mac, wanted.tenant_mac, wanted.key
FROM unnest(%(key_ids)s::uuid[], %(user_macs)s::bytea[], %(tenant_macs)s::bytea[], %(keys)s::bytea[],
            %(latest_calls)s::timestamptz[]) AS wanted (key_id, user_mac, tenant_mac, key, latest_call)
WHERE NOT EXISTS (
    SELECT FROM llm_audit_key_tombstone AS tombstone
    WHERE tombstone.user_mac = wanted.user_mac
      AND (tombstone.tenant_mac IS NULL OR tombstone.tenant_mac = wanted.tenant_mac)
      AND tombstone.erased_at >= wanted.latest_call)
ORDER BY wanted.user_mac, wanted.tenant_mac
ON CONFLICT (user_mac, tenant_mac) DO NOTHING
