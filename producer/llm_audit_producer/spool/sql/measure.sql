SELECT count(*), coalesce(sum(length(body) + 64), 0), coalesce(sum(parked), 0) FROM entry
