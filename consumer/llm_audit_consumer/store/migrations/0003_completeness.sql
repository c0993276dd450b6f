-- What makes completeness provable: which of each producer's sequences have arrived, and what it says of its own life.

-- One row for each producer, that is, for each life of a process. `received` is kept in the same transaction as the rows
-- themselves, so it is never ahead of or behind the log. Rows are updated with every batch: half-filled pages let
-- PostgreSQL put the new version beside the old one, without touching an index.
CREATE TABLE llm_audit_producer (
    producer_id      uuid            NOT NULL,
    predecessor      uuid,
    first_seen_at    timestamptz     NOT NULL DEFAULT now(),
    last_seen_at     timestamptz     NOT NULL DEFAULT now(),
    started_at       timestamptz,
    heartbeat_at     timestamptz,
    ended_at         timestamptz,
    claimed_at       timestamptz,
    last_sequence    bigint          NOT NULL DEFAULT -1,
    dropped          bigint          NOT NULL DEFAULT 0,
    process_id       bigint,
    unclean          boolean         NOT NULL DEFAULT false,
    complete         boolean         NOT NULL GENERATED ALWAYS AS
        (ended_at IS NOT NULL AND received @> int8range(0, last_sequence + 1)) STORED,
    received         int8multirange  NOT NULL DEFAULT '{}',
    delivery_mode    text,
    service          text,
    environment      text,
    host             text,
    library_version  text,
    PRIMARY KEY (producer_id)
) WITH (fillfactor = 50);

COMMENT ON COLUMN llm_audit_producer.received IS 'Sequences that have arrived, whether as rows or as duplicates of rows';
COMMENT ON COLUMN llm_audit_producer.last_sequence IS 'Highest sequence it said it had used; -1 for none';
COMMENT ON COLUMN llm_audit_producer.claimed_at IS 'When it first said so';
COMMENT ON COLUMN llm_audit_producer.dropped IS 'Entries it said it had lost itself';
COMMENT ON COLUMN llm_audit_producer.unclean IS 'It was killed, and another process delivered what its spool held';
COMMENT ON COLUMN llm_audit_producer.complete IS 'It ended, and everything up to its last sequence has arrived';

-- Whoever looks for what is not complete looks at few.
CREATE INDEX llm_audit_producer_open ON llm_audit_producer (last_seen_at) WHERE NOT complete;

-- Up to which moment each partition has been read: what was sent after it may merely not have been read yet.
CREATE TABLE llm_audit_progress (
    consumer_group  text         NOT NULL,
    topic_id        text         NOT NULL,
    partition       integer      NOT NULL,
    topic           text         NOT NULL,
    read_through    timestamptz  NOT NULL,
    PRIMARY KEY (consumer_group, topic_id, partition)
);

-- Which of a producer's missing entries lie in the dead letters: their key is its id. By hash, for a key may be long.
CREATE INDEX llm_audit_dead_letter_key ON llm_audit_dead_letter USING hash (key);
