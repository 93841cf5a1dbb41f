-- Ids are UUIDs of version 7: their order is the order in which the letters died.
CREATE TABLE tidegate_dead_letters (
    id        TEXT    NOT NULL PRIMARY KEY,
    at_unix_s INTEGER NOT NULL,
    rule_on   TEXT    NOT NULL,
    rule_to   TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    event     TEXT    NOT NULL
) STRICT;
