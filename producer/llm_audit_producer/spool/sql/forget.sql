DELETE FROM entry WHERE sequence = ? RETURNING length(body)
