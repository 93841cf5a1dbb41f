-- When sessions of a web application were used; the key is a hash, never a session's id.
CREATE TABLE tidegate_sessions (
    key          TEXT    NOT NULL PRIMARY KEY,
    first_unix_s INTEGER NOT NULL,
    last_unix_s  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tidegate_sessions_last ON tidegate_sessions (last_unix_s);
