-- Rows wait here between COPY and the insert that drops duplicates. Emptied at every commit, gone with the connection.
CREATE TEMPORARY TABLE IF NOT EXISTS llm_audit_staging (LIKE llm_audit_log INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
