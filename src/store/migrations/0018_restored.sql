-- What a server has to know that was restored from an older backup.

-- Groups that an admin deleted: no member brings one back. Only the digits of their IDs are left.
CREATE TABLE deleted_groups (
    id INTEGER PRIMARY KEY
) STRICT;

-- Newer keys of a participant than the newest bundle, as the own key log tells that members handed back: until one of
-- their devices brings them, none gets in, and their keys are not given out.
CREATE TABLE forgotten_keys (
    participant INTEGER PRIMARY KEY REFERENCES participants (id) ON DELETE CASCADE,
    version INTEGER NOT NULL
) STRICT;

-- Which life of a neighbour's store its signed head told of last.
ALTER TABLE neighbours ADD COLUMN epoch INTEGER;

CREATE INDEX key_log_by_subject ON key_log (subject, number);
