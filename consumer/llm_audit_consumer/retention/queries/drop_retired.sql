SELECT dropped, kept
FROM llm_audit_drop_retired(%(retired)s, %(classes)s::text[], %(expired_before)s::timestamptz[])
