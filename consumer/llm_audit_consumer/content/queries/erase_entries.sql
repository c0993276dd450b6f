-- A page of a user's entries: the hashes go, what points to the person goes or stays as the policy says, and what is
-- stored of the content goes with them. What was asked of which model, what came of it and what it cost stays.
WITH page AS (
    SELECT request_id
    FROM llm_audit_log
    WHERE user_id = %(user_id)s
      AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)
      AND request_id > %(after)s
    ORDER BY request_id
    LIMIT %(batch_rows)s
), changed AS (
    UPDATE llm_audit_log AS log
    SET system_prompt_hash = NULL, input_hash = NULL, output_hash = NULL, hash_key_id = NULL, canonical_form = NULL,
        digest_salts = NULL,
        user_id = CASE WHEN %(pseudonymise)s THEN %(pseudonym)s ELSE log.user_id END,
        session_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE session_id END,
        api_key_fingerprint = CASE WHEN %(pseudonymise)s THEN NULL ELSE api_key_fingerprint END,
        trace_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE trace_id END,
        span_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE span_id END,
        run_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE run_id END,
        batch_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE batch_id END,
        custom_id = CASE WHEN %(pseudonymise)s THEN NULL ELSE custom_id END,
        error_message = CASE WHEN %(pseudonymise)s THEN NULL ELSE error_message END,
        metadata = CASE WHEN %(pseudonymise)s THEN NULL ELSE metadata END
    FROM page
    WHERE log.request_id = page.request_id
    RETURNING log.request_id
), dropped AS (
    DELETE FROM llm_audit_content AS content USING page WHERE content.request_id = page.request_id RETURNING 1
)
SELECT (SELECT count(*) FROM changed) AS entries, (SELECT count(*) FROM dropped) AS contents,
       (SELECT request_id::text FROM page ORDER BY request_id DESC LIMIT 1) AS last_id
