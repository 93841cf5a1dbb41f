-- What a letter says, without its id and its time: nodes that read one event each bury the same. None for letters of before.
ALTER TABLE tidegate.dead_letters ADD COLUMN digest bytea;

CREATE UNIQUE INDEX dead_letters_digest ON tidegate.dead_letters (digest);
