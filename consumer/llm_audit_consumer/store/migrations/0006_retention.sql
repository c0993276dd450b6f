-- What retention needs: legal holds, a record of everything it did, and the owner's rights for what dropping a month needs. Nothing here looks at a clock to decide: the moment is always given.

-- A legal hold keeps rows from expiring and from being erased. Every condition that is not null must hold of a row;
-- a hold without any is on everything.
CREATE TABLE llm_audit_legal_hold (
    hold_id           uuid         NOT NULL,
    placed_at         timestamptz  NOT NULL DEFAULT now(),
    placed_by         text         NOT NULL CHECK (placed_by <> ''),
    database_role     text         NOT NULL DEFAULT session_user,
    reason            text         NOT NULL CHECK (reason <> ''),
    everything        boolean      NOT NULL,
    user_id           text,
    tenant            text,
    first_request_id  uuid,
    last_request_id   uuid,
    released_at       timestamptz,
    released_by       text,
    release_reason    text,
    PRIMARY KEY (hold_id),
    CONSTRAINT llm_audit_hold_scope CHECK (
        everything = (user_id IS NULL AND tenant IS NULL AND first_request_id IS NULL AND last_request_id IS NULL)),
    CONSTRAINT llm_audit_hold_range CHECK (first_request_id <= last_request_id),
    CONSTRAINT llm_audit_hold_release CHECK (
        (released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_reason IS NULL))
);

-- What was done to the log, who had it done, under which policy. A row is written with the change itself, in one
-- transaction; finished_at is null where a run was cut off, and the next run's rows say what it still found to do.
CREATE TABLE llm_audit_retention_action (
    action_id        bigint       GENERATED ALWAYS AS IDENTITY,
    run_id           uuid         NOT NULL,
    started_at       timestamptz  NOT NULL DEFAULT clock_timestamp(),
    finished_at      timestamptz,
    operator         text         NOT NULL,
    database_role    text         NOT NULL DEFAULT session_user,
    as_of            timestamptz  NOT NULL,
    action           text         NOT NULL,
    partition        text         NOT NULL,
    retention_class  text,
    expired_before   timestamptz,
    policy           jsonb        NOT NULL,
    first_id         uuid         NOT NULL,
    last_id          uuid         NOT NULL,
    rows             bigint       NOT NULL DEFAULT 0,
    PRIMARY KEY (action_id)
);

-- Records stay: they are added to while their run is at it, and closed.
CREATE FUNCTION llm_audit_refuse_record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = format('%s on %s is refused: what is recorded there stays', TG_OP, TG_TABLE_NAME);
END
$$;
CREATE TRIGGER llm_audit_hold_stays BEFORE DELETE OR TRUNCATE ON llm_audit_legal_hold
    FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_refuse_record_change();
CREATE TRIGGER llm_audit_hold_released_once BEFORE UPDATE ON llm_audit_legal_hold
    FOR EACH ROW WHEN (OLD.released_at IS NOT NULL) EXECUTE FUNCTION llm_audit_refuse_record_change();
CREATE TRIGGER llm_audit_action_stays BEFORE DELETE OR TRUNCATE ON llm_audit_retention_action
    FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_refuse_record_change();
CREATE TRIGGER llm_audit_action_closed BEFORE UPDATE ON llm_audit_retention_action
    FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL OR NEW.rows < OLD.rows)
    EXECUTE FUNCTION llm_audit_refuse_record_change();

-- A hold that is placed waits for the transaction of retention that is under way; the next one sees it.
CREATE FUNCTION llm_audit_hold_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('llm_audit_legal_hold'));
    RETURN NULL;
END
$$;
CREATE TRIGGER llm_audit_hold_waits BEFORE INSERT ON llm_audit_legal_hold
    FOR EACH STATEMENT EXECUTE FUNCTION llm_audit_hold_waits();

-- Whether a row is under a hold: the log itself asks before a row changes.
CREATE FUNCTION llm_audit_is_held(id uuid, of_user text, of_tenant text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RETURN EXISTS (
        SELECT
        FROM llm_audit_legal_hold
        WHERE released_at IS NULL
          AND (user_id IS NULL OR user_id = of_user)
          AND (tenant IS NULL OR tenant = of_tenant)
          AND (first_request_id IS NULL OR first_request_id <= id)
          AND (last_request_id IS NULL OR last_request_id >= id));
END
$$;
CREATE FUNCTION llm_audit_refuse_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format(
        '%s on %s is refused: request %s is under a legal hold', TG_OP, TG_TABLE_NAME, OLD.request_id);
END
$$;
CREATE TRIGGER llm_audit_log_held BEFORE UPDATE OR DELETE ON llm_audit_log
    FOR EACH ROW WHEN (llm_audit_is_held(OLD.request_id, OLD.user_id, OLD.tenant))
    EXECUTE FUNCTION llm_audit_refuse_held();

-- Months of the log and of its content. What is done to them needs the owner's rights, and takes nothing but these names.
CREATE FUNCTION llm_audit_monthly(log text) RETURNS regclass LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF log NOT IN ('llm_audit_log', 'llm_audit_content') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s has no months', log);
    END IF;
    RETURN log::regclass;
END
$$;

-- Takes a month out, within the caller's lock_timeout: for some milliseconds nobody else uses the table. The rows are
-- from then on in the table that is named back, until llm_audit_drop_retired drops it.
--
-- No entry is ever refused for it: where an older month stands, an empty one takes this one's place; else the partition
-- for what lies before is widened up to the next month. A valid CHECK on that one's old bound (llm_audit_bound_before)
-- spares it being read for that.
CREATE FUNCTION llm_audit_retire_month(log text, month date) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    parent    regclass := llm_audit_monthly(log);
    name      text := log || to_char(month, '_YYYY_MM');
    retired   text := replace(name, 'llm_audit_', 'llm_audit_retired_');
    first_id  uuid := llm_audit_id_at(month::timestamp AT TIME ZONE 'UTC');
    next_id   uuid := llm_audit_id_at((month + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext(replace(log, 'llm_audit_', 'llm_audit_create_') || '_partitions'));
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %I', parent, name);
    EXECUTE format('ALTER TABLE %I RENAME TO %I', name, retired);
    IF EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
               WHERE inhparent = parent AND relname ~ (log || '_\d{4}_\d\d$') AND relname < name) THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', name, parent, first_id, next_id);
        PERFORM llm_audit_guard_truncate(name::regclass);
    ELSE
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %I', parent, log || '_before');
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
                       parent, log || '_before', next_id);
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS llm_audit_before_bound', log || '_before');
    END IF;
    RETURN retired;
END
$$;

-- The CHECK for the above: made without reading the table, then validated while it is used (in a transaction of its own).
CREATE FUNCTION llm_audit_bound_before(log text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before  regclass := (llm_audit_monthly(log)::text || '_before')::regclass;
    bound   uuid;
BEGIN
    SELECT substring(pg_get_expr(relpartbound, oid) FROM '[0-9a-f-]{36}')::uuid INTO STRICT bound
    FROM pg_class
    WHERE oid = before;
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS llm_audit_before_bound', before);
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT llm_audit_before_bound CHECK (request_id < %L) NOT VALID', before, bound);
END
$$;
CREATE FUNCTION llm_audit_validate_before(log text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT llm_audit_before_bound', llm_audit_monthly(log)::text || '_before');
END
$$;

-- Drops a retired month. What has not expired, such as an entry that came in the moment before, or is under a hold by
-- now, goes back first. A class without a moment in expired_before never expires.
CREATE FUNCTION llm_audit_drop_retired(retired text, classes text[], expired_before timestamptz[],
                                       OUT dropped bigint, OUT kept bigint)
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    of_log   text := replace(substring(retired FROM '^(llm_audit_retired_(?:log|content))_\d{4}_\d\d$'), 'retired_', '');
    columns  text;
    source   text;
BEGIN
    IF of_log IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s is no retired month', retired);
    END IF;
    SELECT string_agg('old.' || quote_ident(attname), ', ' ORDER BY attnum) INTO STRICT columns
    FROM pg_attribute
    WHERE attrelid = to_regclass(quote_ident(retired)) AND attnum > 0 AND NOT attisdropped;
    source := CASE of_log
        WHEN 'llm_audit_log' THEN format(
            '(SELECT log.*, log."timestamp" AS at, log.user_id AS of_user, log.tenant AS of_tenant, false AS orphan'
            ' FROM %I AS log) AS old', retired)
        ELSE format(
            '(SELECT content.*, coalesce(log."timestamp", least(llm_audit_moment_of(content.request_id), received_at)) AS at,'
            ' log.user_id AS of_user, log.tenant AS of_tenant, log.request_id IS NULL AS orphan'
            ' FROM %I AS content LEFT JOIN llm_audit_log AS log ON log.request_id = content.request_id) AS old', retired)
    END;
    EXECUTE format('SELECT count(*) FROM %I', retired) INTO dropped;
    EXECUTE format(
        'WITH back AS ('
        '    INSERT INTO %1$I (%2$s) SELECT %3$s FROM %4$s'
        '    WHERE NOT EXISTS (SELECT FROM unnest($1, $2) AS policy (class, due_before)'
        '                      WHERE policy.class = old.retention_class AND old.at < policy.due_before)'
        '       OR EXISTS (SELECT FROM llm_audit_legal_hold AS hold'
        '                  WHERE hold.released_at IS NULL'
        '                    AND (hold.user_id IS NULL OR orphan OR hold.user_id = of_user)'
        '                    AND (hold.tenant IS NULL OR orphan OR hold.tenant = of_tenant)'
        '                    AND (hold.first_request_id IS NULL OR hold.first_request_id <= old.request_id)'
        '                    AND (hold.last_request_id IS NULL OR hold.last_request_id >= old.request_id))'
        '    ON CONFLICT DO NOTHING'
        '    RETURNING 1) '
        'SELECT count(*) FROM back', of_log, replace(columns, 'old.', ''), columns, source)
    INTO kept USING classes, expired_before;
    dropped := dropped - kept;
    EXECUTE format('DROP TABLE %I', retired);
END
$$;

DO $$
DECLARE
    ours  regprocedure;
BEGIN
    FOREACH ours IN ARRAY ARRAY[
        'llm_audit_retire_month(text, date)', 'llm_audit_bound_before(text)', 'llm_audit_validate_before(text)',
        'llm_audit_drop_retired(text, text[], timestamptz[])']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', ours, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', ours);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO llm_audit_retention', ours);
    END LOOP;
    EXECUTE format('ALTER FUNCTION llm_audit_is_held(uuid, text, text) SET search_path = %I, pg_temp', current_schema());
END
$$;

GRANT SELECT,
      INSERT (hold_id, placed_by, reason, everything, user_id, tenant, first_request_id, last_request_id),
      UPDATE (released_at, released_by, release_reason)
    ON llm_audit_legal_hold TO llm_audit_retention;
GRANT SELECT,
      INSERT (run_id, operator, as_of, action, partition, retention_class, expired_before, policy, first_id, last_id, rows),
      UPDATE (rows, finished_at)
    ON llm_audit_retention_action TO llm_audit_retention;
GRANT SELECT ON llm_audit_legal_hold, llm_audit_retention_action TO llm_audit_auditor;
