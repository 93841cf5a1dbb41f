-- Keys are kept as bytes: their order is the order of their bytes, and a prefix is a range.
CREATE TABLE kv (
    bucket        TEXT    NOT NULL,
    key           BLOB    NOT NULL,
    value         BLOB    NOT NULL,
    revision      INTEGER NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (bucket, key)
) STRICT;

CREATE INDEX kv_expiry ON kv (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- One counter for all keys: a key that is deleted and made again never has an old revision.
CREATE TABLE kv_revision (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO kv_revision (one, revision) VALUES (1, 0);
