SELECT llm_audit_ask_content(%(request_id)s, %(operator)s, %(reason)s) AS access_id
