INSERT INTO entry (sequence, body) VALUES (?, ?)
