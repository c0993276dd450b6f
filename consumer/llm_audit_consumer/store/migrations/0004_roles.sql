-- Who may do what. Five group roles that nobody logs in as; logins become members of them (store/README.md, "Roles"):
--
--   llm_audit_owner           owns everything here; for llm-audit migrate, and for nothing else
--   llm_audit_writer          the consumer: adds rows and moves offsets, reads back nothing but request_id
--   llm_audit_auditor         reads the log and its records, no message bodies and no content
--   llm_audit_content_reader  reads content; the migration that brings content says through what
--   llm_audit_retention       lets expire and erases; the only one that may change or delete a row of the log
--
-- Roles belong to the cluster and are shared by its databases, so one may be there already. Rights are given per
-- database, and who may enter a database its CONNECT privilege says.
DO $$
DECLARE
    wanted  text;
    member  text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['llm_audit_owner', 'llm_audit_writer', 'llm_audit_auditor',
                                  'llm_audit_content_reader', 'llm_audit_retention'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = wanted);
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this cluster was quicker
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
                    'the role %s is missing and %s may not make it: let an administrator run '
                    'ALTER ROLE %s CREATEROLE; or CREATE ROLE %s NOLOGIN;',
                    wanted, current_user, quote_ident(current_user), wanted);
        END;
    END LOOP;
    -- Since PostgreSQL 16 making a role gives the right to hand it out, but not the role itself.
    IF NOT pg_has_role(current_user, 'llm_audit_owner', member) THEN
        BEGIN
            EXECUTE format('GRANT llm_audit_owner TO %I', current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
                '%s is no member of llm_audit_owner: let an administrator run GRANT llm_audit_owner TO %s;',
                current_user, quote_ident(current_user));
        END;
    END IF;
END
$$;

-- What the roles need of the database and of the schema that the tables are in.
DO $$
DECLARE
    here    text := current_schema();
    wanted  text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['llm_audit_owner', 'llm_audit_writer', 'llm_audit_auditor',
                                  'llm_audit_content_reader', 'llm_audit_retention'] LOOP
        CONTINUE WHEN has_schema_privilege(wanted, here, 'USAGE');
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', here, wanted);
    END LOOP;
    IF NOT has_schema_privilege('llm_audit_owner', here, 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON SCHEMA %I TO llm_audit_owner', here);
    END IF;
    -- The writer's staging table is a temporary one. PUBLIC may make those, unless somebody took that away.
    IF NOT has_database_privilege('llm_audit_writer', current_database(), 'TEMPORARY') THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO llm_audit_writer', current_database());
    END IF;
    -- To who holds a right without the right to pass it on, PostgreSQL only warns that nothing was given.
    IF NOT (has_schema_privilege('llm_audit_owner', here, 'CREATE')
            AND has_database_privilege('llm_audit_writer', current_database(), 'TEMPORARY')) THEN
        RAISE insufficient_privilege;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
        '%s may not give the roles their rights to the schema %s: let the owner of the database run GRANT CREATE, USAGE '
        'ON SCHEMA %s TO llm_audit_owner; GRANT USAGE ON SCHEMA %s TO llm_audit_writer, llm_audit_auditor, '
        'llm_audit_content_reader, llm_audit_retention; GRANT TEMPORARY ON DATABASE %s TO llm_audit_writer;',
        current_user, here, quote_ident(here), quote_ident(here), quote_ident(current_database()));
END
$$;

-- Everything of ours goes to llm_audit_owner. From here on llm-audit migrate works as that role, whoever logs in.
DO $$
DECLARE
    ours  record;
BEGIN
    FOR ours IN
        SELECT format('ALTER TABLE %s OWNER TO llm_audit_owner', oid::regclass) AS command
        FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname ~ '^llm_audit_' AND relkind IN ('r', 'p')
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO llm_audit_owner', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND proname ~ '^llm_audit_'
    LOOP
        EXECUTE ours.command;
    END LOOP;
END
$$;
SET LOCAL ROLE llm_audit_owner;

-- Rows of the log change by retention alone: it must be the current role itself, so that neither the owner nor a
-- superuser changes one by accident. Row triggers reach every partition, also one that is addressed directly.
CREATE FUNCTION llm_audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
        '%s on %s is refused: the audit log changes by llm-audit retention and erasure alone', TG_OP, TG_TABLE_NAME);
END
$$;

CREATE TRIGGER llm_audit_log_change BEFORE UPDATE OR DELETE ON llm_audit_log
    FOR EACH ROW WHEN (current_user <> 'llm_audit_retention') EXECUTE FUNCTION llm_audit_refuse_change();

-- TRUNCATE has no row triggers, and a statement trigger reaches only the table that it stands on.
CREATE FUNCTION llm_audit_guard_truncate(guarded regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER llm_audit_log_truncate BEFORE TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_refuse_change()', guarded);
END
$$;
REVOKE EXECUTE ON FUNCTION llm_audit_guard_truncate(regclass) FROM PUBLIC;

SELECT llm_audit_guard_truncate(relid) FROM pg_partition_tree('llm_audit_log');

-- As in 0001, now with the owner's rights, so that the writer can have months made and holds no right to them. A month
-- gives nobody any privilege: rows are reached through llm_audit_log, whose rights hold.
CREATE OR REPLACE FUNCTION llm_audit_create_partitions(through date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    next_month date;
    last_month date := date_trunc('month', through::timestamp)::date;
    first_id   uuid;
    month      text;
    made       integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('llm_audit_create_partitions'));
    -- Its bound says it, whichever months have been dropped since.
    SELECT (llm_audit_moment_of(substring(pg_get_expr(relpartbound, oid) FROM '[0-9a-f-]{36}')::uuid)
            AT TIME ZONE 'UTC')::date INTO STRICT next_month
    FROM pg_class
    WHERE oid = 'llm_audit_log_after'::regclass;
    IF next_month > last_month THEN
        RETURN 0;
    END IF;
    IF last_month > next_month + interval '50 years' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('months up to %s are too many to make', through);
    END IF;
    ALTER TABLE llm_audit_log DETACH PARTITION llm_audit_log_after;
    WHILE next_month <= last_month LOOP
        month := 'llm_audit_log_' || to_char(next_month, 'YYYY_MM');
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF llm_audit_log FOR VALUES FROM (%L) TO (%L)',
            month,
            llm_audit_id_at(next_month::timestamp AT TIME ZONE 'UTC'),
            llm_audit_id_at((next_month + interval '1 month') AT TIME ZONE 'UTC'));
        PERFORM llm_audit_guard_truncate(month::regclass);
        next_month := (next_month + interval '1 month')::date;
        made := made + 1;
    END LOOP;
    first_id := llm_audit_id_at(next_month::timestamp AT TIME ZONE 'UTC');
    WITH moved AS (DELETE FROM llm_audit_log_after WHERE request_id < first_id RETURNING *)
    INSERT INTO llm_audit_log SELECT * FROM moved;
    EXECUTE format(
        'ALTER TABLE llm_audit_log ATTACH PARTITION llm_audit_log_after FOR VALUES FROM (%L) TO (MAXVALUE)', first_id);
    RETURN made;
END
$$;
-- Names inside are looked up in our schema, whatever the caller's search_path and temporary tables say.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION llm_audit_create_partitions(date) SET search_path = %I, pg_temp', current_schema());
END
$$;
REVOKE EXECUTE ON FUNCTION llm_audit_create_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llm_audit_create_partitions(date) TO llm_audit_writer, llm_audit_retention;

-- The writer: ON CONFLICT reads the key it names, and nothing else is read back. A dead letter's message key is the id of
-- its producer, by which missing entries are found there.
GRANT INSERT, SELECT (request_id) ON llm_audit_log TO llm_audit_writer;
GRANT SELECT, INSERT, UPDATE (next_offset, updated_at) ON llm_audit_offset TO llm_audit_writer;
GRANT INSERT, SELECT (topic_id, partition, "offset", key) ON llm_audit_dead_letter TO llm_audit_writer;

-- The auditor: of a dead letter everything but the message itself, which may hold anything.
GRANT SELECT ON llm_audit_log, llm_audit_offset TO llm_audit_auditor;
GRANT SELECT (topic_id, partition, "offset", topic, consumer_group, reason, detail, message_timestamp, first_seen_at, key)
    ON llm_audit_dead_letter TO llm_audit_auditor;

-- Retention: deletes rows, and clears or pseudonymises what points to a person. Never what was asked of which model, what
-- came of it, what it cost, or the evidence.
GRANT SELECT, DELETE, UPDATE (
    user_id, tenant, session_id, api_key_fingerprint, trace_id, span_id, run_id, batch_id, custom_id, error_message,
    system_prompt_hash, input_hash, output_hash, hash_key_id, canonical_form, metadata, details, digest_salts
) ON llm_audit_log TO llm_audit_retention;
GRANT SELECT, DELETE ON llm_audit_dead_letter TO llm_audit_retention;

-- Which migrations there are is no secret, and the daemon checks it.
GRANT SELECT ON llm_audit_migration
    TO llm_audit_writer, llm_audit_auditor, llm_audit_content_reader, llm_audit_retention;

-- Completeness: the writer keeps it with every batch, and judges by it for its metrics.
GRANT SELECT, INSERT, UPDATE ON llm_audit_producer, llm_audit_progress TO llm_audit_writer;
GRANT SELECT ON llm_audit_producer, llm_audit_progress TO llm_audit_auditor;
