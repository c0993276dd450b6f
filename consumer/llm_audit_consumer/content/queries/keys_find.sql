SELECT wanted.number, user_key.key_id::text AS key_id, user_key.key, (
    SELECT max(erased_at)
    FROM llm_audit_key_tombstone AS tombstone
    WHERE tombstone.user_mac = wanted.user_mac
      AND (tombstone.tenant_mac IS NULL OR tombstone.tenant_mac = wanted.tenant_mac)) AS erased_at
FROM unnest(%(user_macs)s::bytea[], %(tenant_macs)s::bytea[]) WITH ORDINALITY AS wanted (user_mac, tenant_mac, number)
LEFT JOIN llm_audit_user_key AS user_key
    ON user_key.user_mac = wanted.user_mac AND user_key.tenant_mac = wanted.tenant_mac
ORDER BY wanted.number
