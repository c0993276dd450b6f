SELECT (SELECT count(*) FROM llm_audit_log
        WHERE user_id = %(user_id)s AND (%(tenant)s::text IS NULL OR tenant = %(tenant)s)) AS entries,
       (SELECT count(*) FROM llm_audit_content WHERE key_id = ANY (%(key_ids)s::uuid[])) AS contents
