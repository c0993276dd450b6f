INSERT INTO llm_audit_content
    (request_id, key_id, plain_bytes, canonical_form, truncated, part, retention_class, sealing, compression,
     recipient_key_id, wrapped)
VALUES
    (%(request_id)s, %(key_id)s, %(plain_bytes)s, %(canonical_form)s, %(truncated)s, %(part)s, %(retention_class)s,
     %(sealing)s, %(compression)s, %(recipient_key_id)s, %(wrapped)s)
ON CONFLICT (request_id, part) DO NOTHING
