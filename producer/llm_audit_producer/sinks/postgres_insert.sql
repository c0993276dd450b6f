-- One entry, as the direct backend writes it. An entry that is there already stays as it is.
INSERT INTO llm_audit_log ({columns}) VALUES ({values}) ON CONFLICT (request_id) DO NOTHING
