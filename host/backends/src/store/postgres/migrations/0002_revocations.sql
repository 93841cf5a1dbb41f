CREATE TABLE tidegate.revocations (
    id            text COLLATE "C" PRIMARY KEY,
    user_id       text,
    token_id      text,
    topic         text,
    issued_before bigint,
    reason        text,
    at_unix_s     bigint NOT NULL,
    until_unix_s  bigint NOT NULL,
    -- Of the transaction that kept it: by this, nodes find what came since they looked last.
    kept_by       xid8   NOT NULL
);

CREATE INDEX revocations_kept_by ON tidegate.revocations (kept_by);
