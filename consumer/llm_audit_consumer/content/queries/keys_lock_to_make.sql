-- Many may make keys at once, but none while one is being erased; a statement after this sees that erasure's tombstone.
LOCK TABLE llm_audit_key_tombstone IN ROW EXCLUSIVE MODE
