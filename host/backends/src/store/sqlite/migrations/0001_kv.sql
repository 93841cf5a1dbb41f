-- Keys are kept as bytes: their order is the order of their bytes, and a prefix is a range.
CREATE TABLE tidegate_kv (
    bucket        TEXT    NOT NULL,
    key           BLOB    NOT NULL,
    value         BLOB    NOT NULL,
    revision      INTEGER NOT NULL,
    expires_at_ms INTEGER,
    PRIMARY KEY (bucket, key)
) STRICT;

CREATE INDEX tidegate_kv_expiry ON tidegate_kv (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- One counter for all keys: a key that is deleted and made again never has an old revision.
CREATE TABLE tidegate_kv_revision (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO tidegate_kv_revision (one, revision) VALUES (1, 0);
