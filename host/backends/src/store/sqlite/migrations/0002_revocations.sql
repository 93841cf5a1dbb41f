-- Credentials and subscriptions withdrawn before their time, for as long as they matter. Times in seconds since 1970.
CREATE TABLE tidegate_revocations (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT,
    token_id      TEXT,
    topic         TEXT,
    issued_before INTEGER,
    reason        TEXT,
    at_unix_s     INTEGER NOT NULL,
    until_unix_s  INTEGER NOT NULL
) STRICT;

CREATE INDEX tidegate_revocations_until ON tidegate_revocations (until_unix_s);
