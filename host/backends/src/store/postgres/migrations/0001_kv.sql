-- Keys are kept as bytes: their order is the order of their bytes, and a prefix is a range.
CREATE TABLE tidegate.kv (
    bucket        text COLLATE "C" NOT NULL,
    key           bytea            NOT NULL,
    value         bytea            NOT NULL,
    revision      bigint           NOT NULL,
    expires_at_ms bigint,
    PRIMARY KEY (bucket, key)
);

CREATE INDEX kv_expiry ON tidegate.kv (expires_at_ms) WHERE expires_at_ms IS NOT NULL;

-- One counter for all keys: a key that is deleted and made again never has an old revision. Taken while the key's row is
-- locked, it only grows for each key.
CREATE SEQUENCE IF NOT EXISTS tidegate.kv_revision;
