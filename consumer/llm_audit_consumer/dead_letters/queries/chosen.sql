    first_seen_at >= coalesce(%(since)s::timestamptz, '-infinity')
    AND first_seen_at < coalesce(%(until)s::timestamptz, 'infinity')
    AND (%(reason)s::text IS NULL OR reason = %(reason)s)
    AND (%(topic)s::text IS NULL OR topic = %(topic)s)
