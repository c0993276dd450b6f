-- What is left under the deleted keys: content whose entry has not come, or came under another name.
WITH page AS (
    SELECT request_id, part FROM llm_audit_content WHERE key_id = ANY (%(key_ids)s::uuid[]) LIMIT %(batch_rows)s
)
DELETE FROM llm_audit_content AS content
USING page
WHERE content.request_id = page.request_id AND content.part = page.part
