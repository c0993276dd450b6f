-- Only ever forward: a marker that comes late, or twice, takes nothing back. A claim keeps the time when it was first made.
INSERT INTO llm_audit_producer AS known
    (producer_id, predecessor, started_at, heartbeat_at, ended_at, claimed_at, last_sequence, dropped, process_id,
     unclean, delivery_mode, service, environment, host, library_version)
VALUES
    (%(producer_id)s, %(predecessor)s, %(started_at)s, %(heartbeat_at)s, %(ended_at)s, %(heartbeat_at)s,
     %(last_sequence)s, %(dropped)s, %(process_id)s, %(unclean)s, %(delivery_mode)s, %(service)s, %(environment)s,
     %(host)s, %(library_version)s)
ON CONFLICT (producer_id) DO UPDATE
SET predecessor = coalesce(known.predecessor, excluded.predecessor),
    started_at = coalesce(known.started_at, excluded.started_at),
    heartbeat_at = greatest(known.heartbeat_at, excluded.heartbeat_at),
    ended_at = coalesce(known.ended_at, excluded.ended_at),
    claimed_at = CASE WHEN excluded.last_sequence > known.last_sequence OR known.claimed_at IS NULL
                      THEN excluded.claimed_at ELSE known.claimed_at END,
    last_sequence = greatest(known.last_sequence, excluded.last_sequence),
    dropped = greatest(known.dropped, excluded.dropped),
    process_id = coalesce(known.process_id, excluded.process_id),
    unclean = known.unclean OR excluded.unclean,
    delivery_mode = coalesce(known.delivery_mode, excluded.delivery_mode),
    service = coalesce(known.service, excluded.service),
    environment = coalesce(known.environment, excluded.environment),
    host = coalesce(known.host, excluded.host),
    library_version = coalesce(known.library_version, excluded.library_version),
    last_seen_at = now()
