-- The audit log: one row for each LLM API call, one column for each field of audit_entry.v1.avsc (which holds the
-- meaning and unit of each). NOT NULL stands only where the truth cannot be null.
--
-- Partitions. The primary key is request_id, a UUIDv7 whose first 48 bits are the call's start in milliseconds, and the
-- table is partitioned by its range, a month a partition. PostgreSQL wants the partition key inside every unique key,
-- so this is what keeps request_id unique over the whole table while old months can still be dropped; partitioning by
-- timestamp would make the same entry unique only within its month. A query by time adds bounds on request_id
-- (llm_audit_id_at) and is then pruned to the months it asks for.
--
-- There is no DEFAULT partition: llm_audit_log_before and llm_audit_log_after take what lies outside the months, so no
-- entry is ever refused for its date, and both stay bounded, which a DEFAULT partition would not.
--
-- Columns stand in the order of their alignment (16, 8, 4, 1 bytes, then variable), which saves some 30 bytes a row.

CREATE TABLE llm_audit_log (
    request_id              uuid           NOT NULL,
    producer_id             uuid           NOT NULL,
    "timestamp"             timestamptz    NOT NULL,
    created_at              timestamptz    NOT NULL DEFAULT now(),
    sequence                bigint         NOT NULL,
    input_tokens            bigint,
    output_tokens           bigint,
    thinking_tokens         bigint,
    cache_read_tokens       bigint,
    cache_write_5m_tokens   bigint,
    cache_write_1h_tokens   bigint,
    server_tool_requests    bigint,
    latency_ms              bigint,
    time_to_first_token_ms  bigint,
    input_bytes             bigint,
    output_bytes            bigint,
    http_status             integer,
    attempts                integer        NOT NULL,
    sanitization_count      integer        NOT NULL,
    canonical_form          integer,
    streamed                boolean        NOT NULL,
    truncated               boolean        NOT NULL,
    user_id                 text           NOT NULL,
    provider                text           NOT NULL,
    action                  text           NOT NULL,
    status                  text           NOT NULL,
    content_mode            text           NOT NULL,
    retention_class         text           NOT NULL,
    library_version         text           NOT NULL,
    model                   text,
    requested_model         text,
    cost_usd                numeric(24, 12),
    cost_reason             text,
    price_source            text,
    tenant                  text,
    session_id              text,
    service                 text,
    environment             text,
    api_key_fingerprint     text,
    trace_id                text,
    span_id                 text,
    provider_request_id     text,
    response_id             text,
    run_id                  text,
    batch_id                text,
    custom_id               text,
    stop_reason             text,
    tool_names              text[],
    service_tier            text,
    inference_geo           text,
    speed                   text,
    error_type              text,
    error_message           text,
    system_prompt_hash      text,
    input_hash              text,
    output_hash             text,
    hash_key_id             text,
    sdk                     text,
    metadata                jsonb,
    details                 jsonb,
    prev_digest             bytea,
    entry_mac               bytea,
    mac_key_id              text,
    digest_salts            jsonb,
    PRIMARY KEY (request_id)
) PARTITION BY RANGE (request_id);

COMMENT ON TABLE llm_audit_log IS 'One row for each LLM API call; column meanings are the docs of audit_entry.v1.avsc';

-- The least request_id of a moment: its milliseconds in the first 48 bits, zeros after.
CREATE FUNCTION llm_audit_id_at(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN (lpad(to_hex(greatest(0, floor(extract(epoch FROM moment) * 1000))::bigint), 12, '0')
            || repeat('0', 20))::uuid;

-- The moment that an id carries.
CREATE FUNCTION llm_audit_moment_of(id uuid) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
    RETURN to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);

-- Makes the monthly partitions from where llm_audit_log_after begins up to `through`, inclusive; repeatable, and safe
-- when several call it at once. Rows that already wait in llm_audit_log_after move into their month. Returns how many
-- partitions it made. Locks the log while it works: where a long query holds that up, it gives way after five seconds,
-- as every insert would have to wait behind it.
CREATE FUNCTION llm_audit_create_partitions(through date) RETURNS integer
    LANGUAGE plpgsql SET lock_timeout = '5s' AS $$
DECLARE
    next_month date;
    last_month date := date_trunc('month', through::timestamp)::date;
    first_id   uuid;
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
    ALTER TABLE llm_audit_log DETACH PARTITION llm_audit_log_after;
    WHILE next_month <= last_month LOOP
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF llm_audit_log FOR VALUES FROM (%L) TO (%L)',
            'llm_audit_log_' || to_char(next_month, 'YYYY_MM'),
            llm_audit_id_at(next_month::timestamp AT TIME ZONE 'UTC'),
            llm_audit_id_at((next_month + interval '1 month') AT TIME ZONE 'UTC'));
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

-- The first month is the one before this migration: entries that waited in a spool still find their month.
DO $$
DECLARE
    first_month date := (date_trunc('month', now() AT TIME ZONE 'UTC') - interval '1 month')::date;
    first_id    uuid := llm_audit_id_at(first_month::timestamp AT TIME ZONE 'UTC');
    second_id   uuid := llm_audit_id_at((first_month + interval '1 month') AT TIME ZONE 'UTC');
BEGIN
    EXECUTE format('CREATE TABLE llm_audit_log_before PARTITION OF llm_audit_log FOR VALUES FROM (MINVALUE) TO (%L)',
                   first_id);
    EXECUTE format('CREATE TABLE %I PARTITION OF llm_audit_log FOR VALUES FROM (%L) TO (%L)',
                   'llm_audit_log_' || to_char(first_month, 'YYYY_MM'), first_id, second_id);
    EXECUTE format('CREATE TABLE llm_audit_log_after PARTITION OF llm_audit_log FOR VALUES FROM (%L) TO (MAXVALUE)',
                   second_id);
    PERFORM llm_audit_create_partitions((first_month + interval '4 months')::date);
END
$$;

-- Indexes: chosen by measuring (tests/benchmarks/index_choice.py; the figures stand in store/README.md).
CREATE INDEX llm_audit_log_user ON llm_audit_log (user_id, request_id);
CREATE INDEX llm_audit_log_model ON llm_audit_log (model, request_id);
CREATE INDEX llm_audit_log_not_success ON llm_audit_log (status, request_id) WHERE status <> 'success';
CREATE INDEX llm_audit_log_cost ON llm_audit_log (cost_usd, request_id) WHERE cost_usd >= 0.1;
