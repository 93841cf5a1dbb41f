-- Ids are UUIDs of version 7: their order is the order in which the letters died.
CREATE TABLE tidegate.dead_letters (
    id        text COLLATE "C" PRIMARY KEY,
    at_unix_s bigint NOT NULL,
    rule_on   text   NOT NULL,
    rule_to   text   NOT NULL,
    reason    text   NOT NULL,
    event     text   NOT NULL
);
