INSERT INTO llm_audit_erasure (erasure_id, operator, reason, pseudonym, metadata)
VALUES (%(erasure_id)s, %(operator)s, %(reason)s, %(pseudonym)s, %(metadata)s)
