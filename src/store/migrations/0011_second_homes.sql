-- Participants with a home on another server, too.

CREATE TABLE second_homes (
    participant INTEGER PRIMARY KEY REFERENCES participants (id),
    -- The other server.
    other BLOB NOT NULL CHECK (length(other) = 32),
    -- Whether changes of keys and devices are made here, or there.
    is_first INTEGER NOT NULL CHECK (is_first IN (0, 1)),
    -- Whether the participant wants the other home no more, and it has not heard of that.
    ends INTEGER NOT NULL CHECK (ends IN (0, 1)),
    -- Rises with everything the other home has to know of; and the number up to which it does.
    changed INTEGER NOT NULL,
    told INTEGER NOT NULL
) STRICT;

-- What one home took for a participant goes to the other as a copy, of which no sender hears.
ALTER TABLE outbox ADD COLUMN copy INTEGER NOT NULL DEFAULT 0 CHECK (copy IN (0, 1));
-- The device that alone gets a copy, or the one that sent it and does not.
ALTER TABLE outbox ADD COLUMN device INTEGER;
ALTER TABLE outbox ADD COLUMN sender_device INTEGER;

-- The other home that a participant's bundle names.
ALTER TABLE remote_participants ADD COLUMN other_home BLOB CHECK (length(other_home) = 32);
CREATE INDEX remote_participants_by_other_home ON remote_participants (home, other_home)
    WHERE other_home IS NOT NULL;
