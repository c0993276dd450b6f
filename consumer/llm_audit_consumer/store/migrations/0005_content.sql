-- Sealed content: one row for each input or output of a call that was kept, in a table of its own, so that the audit log
-- stays small and old content goes by dropping its months. Partitioned by request_id as the log is, for the same reasons.
--
-- A row holds nothing that says whose it is: the request_id leads to its entry, key_id to the user's key in the key
-- store. What is in `wrapped` was sealed by the producer to the organisation's public key, and then encrypted by the
-- consumer under that user's key. Whoever deletes that key has erased every copy of the row, in backups too.
CREATE TABLE llm_audit_content (
    request_id        uuid         NOT NULL,
    key_id            uuid         NOT NULL,
    received_at       timestamptz  NOT NULL DEFAULT now(),
    plain_bytes       bigint       NOT NULL,
    canonical_form    integer      NOT NULL,
    truncated         boolean      NOT NULL,
    part              text         NOT NULL CHECK (part IN ('input', 'output')),
    retention_class   text         NOT NULL,
    sealing           text         NOT NULL,
    compression       text         NOT NULL,
    recipient_key_id  text,
    wrapped           bytea,
    PRIMARY KEY (request_id, part)
) PARTITION BY RANGE (request_id);
-- Ciphertext cannot be compressed; trying costs time.
ALTER TABLE llm_audit_content ALTER COLUMN wrapped SET STORAGE EXTERNAL;
CREATE INDEX llm_audit_content_key ON llm_audit_content (key_id);

-- Content is written once. Deleting it is for retention and erasure alone.
CREATE FUNCTION llm_audit_refuse_content_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
        '%s on %s is refused: content changes by llm-audit retention and erasure alone', TG_OP, TG_TABLE_NAME);
END
$$;
CREATE TRIGGER llm_audit_content_change BEFORE UPDATE OR DELETE ON llm_audit_content
    FOR EACH ROW WHEN (current_user <> 'llm_audit_retention') EXECUTE FUNCTION llm_audit_refuse_content_change();

-- As llm_audit_create_partitions does for the log.
CREATE FUNCTION llm_audit_create_content_partitions(through date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '5s' AS $$
DECLARE
    next_month date;
    last_month date := date_trunc('month', through::timestamp)::date;
    first_id   uuid;
    made       integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('llm_audit_create_content_partitions'));
    SELECT (llm_audit_moment_of(substring(pg_get_expr(relpartbound, oid) FROM '[0-9a-f-]{36}')::uuid)
            AT TIME ZONE 'UTC')::date INTO STRICT next_month
    FROM pg_class
    WHERE oid = 'llm_audit_content_after'::regclass;
    IF next_month > last_month THEN
        RETURN 0;
    END IF;
    IF last_month > next_month + interval '50 years' THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('months up to %s are too many to make', through);
    END IF;
    ALTER TABLE llm_audit_content DETACH PARTITION llm_audit_content_after;
    WHILE next_month <= last_month LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF llm_audit_content FOR VALUES FROM (%L) TO (%L)',
            'llm_audit_content_' || to_char(next_month, 'YYYY_MM'),
            llm_audit_id_at(next_month::timestamp AT TIME ZONE 'UTC'),
            llm_audit_id_at((next_month + interval '1 month') AT TIME ZONE 'UTC'));
        next_month := (next_month + interval '1 month')::date;
        made := made + 1;
    END LOOP;
    first_id := llm_audit_id_at(next_month::timestamp AT TIME ZONE 'UTC');
    INSERT INTO llm_audit_content SELECT * FROM llm_audit_content_after WHERE request_id < first_id;
    ALTER TABLE llm_audit_content_after DISABLE TRIGGER USER;  -- these are moved, not deleted
    DELETE FROM llm_audit_content_after WHERE request_id < first_id;
    ALTER TABLE llm_audit_content_after ENABLE TRIGGER USER;
    EXECUTE format(
        'ALTER TABLE llm_audit_content ATTACH PARTITION llm_audit_content_after FOR VALUES FROM (%L) TO (MAXVALUE)',
        first_id);
    RETURN made;
END
$$;

DO $$
DECLARE
    first_month date := (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month')::date;
    first_id    uuid := llm_audit_id_at(first_month::timestamp AT TIME ZONE 'UTC');
BEGIN
    EXECUTE format('CREATE TABLE llm_audit_content_before PARTITION OF llm_audit_content FOR VALUES FROM (MINVALUE) TO (%L)',
                   first_id);
    EXECUTE format('CREATE TABLE llm_audit_content_after PARTITION OF llm_audit_content FOR VALUES FROM (%L) TO (MAXVALUE)',
                   first_id);
    PERFORM llm_audit_create_content_partitions((first_month + interval '4 months')::date);
END
$$;

-- Who looked at whose content, when and why. A row is there, committed, before anything can be read.
CREATE TABLE llm_audit_content_access (
    access_id      bigint       GENERATED ALWAYS AS IDENTITY,
    asked_at       timestamptz  NOT NULL DEFAULT clock_timestamp(),
    request_id     uuid         NOT NULL,
    asked_by       text         NOT NULL CHECK (asked_by <> ''),
    database_role  text         NOT NULL DEFAULT session_user,
    reason         text         NOT NULL CHECK (length(trim(reason)) >= 3),
    transaction    xid8         NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (access_id)
);

-- What was erased: who had it done, when, why, and how much. Of the person only the pseudonym that stands in the log since.
CREATE TABLE llm_audit_erasure (
    erasure_id     uuid         NOT NULL,
    started_at     timestamptz  NOT NULL DEFAULT clock_timestamp(),
    finished_at    timestamptz,
    operator       text         NOT NULL CHECK (operator <> ''),
    database_role  text         NOT NULL DEFAULT session_user,
    reason         text         NOT NULL CHECK (length(trim(reason)) >= 3),
    pseudonym      text         NOT NULL,
    metadata       text         NOT NULL CHECK (metadata IN ('pseudonymise', 'keep')),
    keys           bigint       NOT NULL DEFAULT 0,
    contents       bigint       NOT NULL DEFAULT 0,
    entries        bigint       NOT NULL DEFAULT 0,
    dead_letters   bigint       NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure_id)
);

CREATE FUNCTION llm_audit_refuse_content_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = format('%s on %s is refused: what is recorded there stays', TG_OP, TG_TABLE_NAME);
END
$$;
CREATE TRIGGER llm_audit_access_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON llm_audit_content_access
    FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_refuse_content_record_change();
CREATE TRIGGER llm_audit_erasure_stays BEFORE DELETE OR TRUNCATE ON llm_audit_erasure
    FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_refuse_content_record_change();
CREATE TRIGGER llm_audit_erasure_closed BEFORE UPDATE ON llm_audit_erasure
    FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL) EXECUTE FUNCTION llm_audit_refuse_content_record_change();

-- First step to content: leaves the record, and gives its number. Gives no content.
CREATE FUNCTION llm_audit_ask_content(id uuid, asked_by text, reason text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO llm_audit_content_access (request_id, asked_by, reason) VALUES (id, asked_by, reason)
    RETURNING access_id
$$;

-- Second step: the content of a record that was committed before, by the same login, within ten minutes. A row that one
-- can see is committed unless it is of one's own transaction (a savepoint has its transaction's number), so to read and
-- then roll back leaves the record standing.
CREATE FUNCTION llm_audit_open_content(access bigint) RETURNS SETOF llm_audit_content
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    asked  llm_audit_content_access;
BEGIN
    SELECT * INTO asked FROM llm_audit_content_access WHERE access_id = access AND database_role = session_user;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('%s has no access record %s: ask by llm_audit_ask_content first', session_user, access);
    END IF;
    IF asked.transaction = pg_current_xact_id_if_assigned() THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('access record %s is not committed yet: content is read in a later transaction', access);
    END IF;
    IF asked.asked_at < clock_timestamp() - interval '10 minutes' THEN
        RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
            MESSAGE = format('access record %s is older than ten minutes: ask again', access);
    END IF;
    RETURN QUERY SELECT * FROM llm_audit_content WHERE request_id = asked.request_id ORDER BY part;
END
$$;

DO $$
DECLARE
    ours  regprocedure;
BEGIN
    FOREACH ours IN ARRAY ARRAY['llm_audit_create_content_partitions(date)', 'llm_audit_ask_content(uuid, text, text)',
                                'llm_audit_open_content(bigint)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION llm_audit_create_content_partitions(date) TO llm_audit_writer, llm_audit_retention;
GRANT EXECUTE ON FUNCTION llm_audit_ask_content(uuid, text, text), llm_audit_open_content(bigint)
    TO llm_audit_content_reader;

-- The writer adds, and reads back nothing but the key. The auditor sees that there is content, not the content.
GRANT INSERT, SELECT (request_id, part) ON llm_audit_content TO llm_audit_writer;
GRANT SELECT (request_id, key_id, received_at, plain_bytes, canonical_form, truncated, part, retention_class, sealing,
              compression, recipient_key_id) ON llm_audit_content
    TO llm_audit_auditor, llm_audit_content_reader, llm_audit_retention;
GRANT SELECT ON llm_audit_log TO llm_audit_content_reader;
GRANT SELECT ON llm_audit_content_access, llm_audit_erasure TO llm_audit_auditor;
GRANT DELETE ON llm_audit_content TO llm_audit_retention;
GRANT SELECT, INSERT (erasure_id, operator, reason, pseudonym, metadata),
      UPDATE (finished_at, keys, contents, entries, dead_letters) ON llm_audit_erasure TO llm_audit_retention;
