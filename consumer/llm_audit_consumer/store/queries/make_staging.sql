-- Rows wait here between COPY and the insert that drops duplicates. Emptied at every commit, gone with the connection.
-- Its columns come from the log's row type: LIKE would ask for the right to read the whole log, which the writer lacks.
CREATE TEMPORARY TABLE IF NOT EXISTS llm_audit_staging ON COMMIT DELETE ROWS AS
SELECT (entry).* FROM (SELECT NULL::llm_audit_log AS entry) AS shape
WITH NO DATA
