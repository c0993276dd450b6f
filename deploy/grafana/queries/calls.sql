-- Calls of the time chosen, newest first. request_id begins with the call's time, so bounds on it find the month.
SELECT "timestamp", user_id, model, action, status, input_tokens, output_tokens, cost_usd, latency_ms, service,
       error_type, request_id::text AS request_id
FROM llm_audit_log
WHERE request_id >= llm_audit_id_at($__timeFrom())
  AND request_id < llm_audit_id_at($__timeTo())
  AND (${user:sqlstring} = '' OR user_id = ${user:sqlstring})
  AND (${model:sqlstring} = '' OR model = ${model:sqlstring})
  AND (${status:sqlstring} = '' OR status = ${status:sqlstring})
  AND (${request_id:sqlstring} = '' OR request_id::text = ${request_id:sqlstring})
ORDER BY request_id DESC
LIMIT 500
