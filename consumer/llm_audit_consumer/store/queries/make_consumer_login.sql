-- The embedded stack's consumer logs in as a writer and as nothing more; its password is new at every start.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'llm_audit_dev_consumer') THEN
        CREATE ROLE llm_audit_dev_consumer LOGIN IN ROLE llm_audit_writer;
    END IF;
END
$$;
ALTER ROLE llm_audit_dev_consumer PASSWORD %(password)s
