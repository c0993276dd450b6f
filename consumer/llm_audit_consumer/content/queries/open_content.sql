SELECT request_id::text AS request_id, key_id::text AS key_id, part, retention_class, sealing, compression,
       canonical_form, plain_bytes, truncated, recipient_key_id, wrapped
FROM llm_audit_open_content(%(access_id)s)
