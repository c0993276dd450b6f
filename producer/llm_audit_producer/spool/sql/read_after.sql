SELECT sequence, body FROM entry WHERE sequence > ? AND parked = 0 ORDER BY sequence LIMIT ?
