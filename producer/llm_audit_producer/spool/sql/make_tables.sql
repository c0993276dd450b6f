-- AUTOINCREMENT keeps the highest sequence ever held, also once its entry is gone.
CREATE TABLE IF NOT EXISTS entry (
    sequence  INTEGER PRIMARY KEY AUTOINCREMENT,
    body      BLOB    NOT NULL,
    parked    INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
