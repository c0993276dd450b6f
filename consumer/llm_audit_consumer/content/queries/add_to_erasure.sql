UPDATE llm_audit_erasure
SET keys = keys + %(keys)s, contents = contents + %(contents)s, entries = entries + %(entries)s,
    dead_letters = dead_letters + %(dead_letters)s
WHERE erasure_id = %(erasure_id)s
