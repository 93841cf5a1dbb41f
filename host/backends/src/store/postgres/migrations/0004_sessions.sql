-- By a hash of the session's id: who reads this can use nobody's session.
CREATE TABLE tidegate.sessions (
    key          text COLLATE "C" PRIMARY KEY,
    first_unix_s bigint NOT NULL,
    last_unix_s  bigint NOT NULL
);

CREATE INDEX sessions_last ON tidegate.sessions (last_unix_s);
