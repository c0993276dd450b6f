VACUUM (FULL) llm_audit_user_key
