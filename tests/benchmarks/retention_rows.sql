-- %(count)s calls from %(first)s on, %(step)s apart, with everything that can expire.
INSERT INTO llm_audit_log (
    request_id, "timestamp", producer_id, sequence, user_id, model, status, error_type, error_message, input_tokens,
    output_tokens, cost_usd, provider, action, attempts, sanitization_count, streamed, truncated, content_mode,
    system_prompt_hash, input_hash, output_hash, hash_key_id, canonical_form, retention_class, library_version
)
SELECT (left(llm_audit_id_at(at)::text, 14) || '7' || substr(tail, 1, 3) || '-8' || substr(tail, 4, 3) || '-'
        || substr(tail, 7, 12))::uuid,
       at, '01890000-0000-7000-8000-000000000000', number, 'user-' || number %% 2000, 'model-' || number %% 4,
       CASE WHEN number %% 50 = 0 THEN 'error' ELSE 'success' END,
       CASE WHEN number %% 50 = 0 THEN 'overloaded_error' END,
       CASE WHEN number %% 50 = 0 THEN 'Overloaded, says the server' END,
       1000, 100, 0.001, 'anthropic', 'messages.create', 1, 0, false, false, 'hash',
       repeat('5', 64), tail || tail, tail || tail, '2026-11', 1, 'standard', '0.1.0'
FROM generate_series(1, %(count)s) AS number,
     LATERAL (SELECT %(first)s + number * %(step)s::interval, md5(random()::text || number)) AS made (at, tail)
