-- What the consumer needs to write every entry exactly once: where it stands, and what it could not store.

-- The next offset of each partition, advanced in the same transaction as the rows. topic_id is Kafka's own id of the
-- topic: a topic deleted and made again under the same name starts anew instead of inheriting offsets.
CREATE TABLE llm_audit_offset (
    consumer_group  text         NOT NULL,
    topic_id        text         NOT NULL,
    partition       integer      NOT NULL,
    topic           text         NOT NULL,
    next_offset     bigint       NOT NULL CHECK (next_offset >= 0),
    updated_at      timestamptz  NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic_id, partition)
);

-- Messages that cannot become rows, whole, with the reason. May hold personal data: keep them no longer than needed.
CREATE TABLE llm_audit_dead_letter (
    topic_id           text         NOT NULL,
    partition          integer      NOT NULL,
    "offset"           bigint       NOT NULL,
    topic              text         NOT NULL,
    consumer_group     text         NOT NULL,
    reason             text         NOT NULL,
    detail             text         NOT NULL,
    message_timestamp  timestamptz  NOT NULL,
    first_seen_at      timestamptz  NOT NULL DEFAULT now(),
    key                bytea,
    value              bytea,
    identity           bytea,
    PRIMARY KEY (topic_id, partition, "offset")
);
CREATE INDEX llm_audit_dead_letter_seen ON llm_audit_dead_letter (first_seen_at);
