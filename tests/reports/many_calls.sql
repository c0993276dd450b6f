-- A thousand calls a day on fifty days from %(first_day)s, in order of time; users, models and outcomes take turns.
INSERT INTO llm_audit_log (
    request_id, "timestamp", producer_id, sequence, user_id, model, status, error_type, input_tokens, output_tokens,
    cost_usd, provider, action, attempts, sanitization_count, streamed, truncated, content_mode, retention_class,
    library_version
)
SELECT (left(llm_audit_id_at(at)::text, 14) || '7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
       at,
       '01890000-0000-7000-8000-000000000000',
       number,
       'user-' || number %% 25000,
       'model-' || number %% 4,
       CASE WHEN number %% 50 = 0 THEN 'error' ELSE 'success' END,
       CASE WHEN number %% 50 = 0 THEN 'overloaded_error' END,
       1000, 100, 0.001, 'anthropic', 'messages.create', 1, 0, false, false, 'none', 'standard', 'test'
FROM generate_series(0, 49999) AS number,
     LATERAL (SELECT %(first_day)s + number * interval '86.4 seconds') AS moments (at)
