COPY llm_audit_staging ({columns}) FROM STDIN
