SELECT log.request_id::text AS request_id, log."timestamp", log.user_id, log.model, log.status, wanted.kind,
       log.hash_key_id
FROM unnest(%(key_ids)s::text[], %(kinds)s::text[], %(hashes)s::text[]) AS wanted (key_id, kind, hash)
JOIN llm_audit_log AS log
    ON log.hash_key_id = wanted.key_id
   AND wanted.hash = CASE wanted.kind WHEN 'system' THEN log.system_prompt_hash
                                      WHEN 'input' THEN log.input_hash
                                      ELSE log.output_hash END
WHERE log.request_id >= llm_audit_id_at(%(since)s)
  AND log.request_id < llm_audit_id_at(%(until)s)
ORDER BY log.request_id, wanted.kind
LIMIT %(limit)s
