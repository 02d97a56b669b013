-- Groups: chains of signed entries, and what they come to.

CREATE TABLE groups (
    -- The first 60 bits of the digest of the first entry.
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    -- Number of the last entry.
    number INTEGER NOT NULL,
    -- Everything the chain says but its members, as JSON.
    state TEXT NOT NULL,
    open INTEGER NOT NULL CHECK (open IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX groups_open ON groups (name) WHERE open = 1;

CREATE TABLE group_entries (
    id INTEGER PRIMARY KEY,
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    entry TEXT NOT NULL,
    UNIQUE (group_id, number)
) STRICT;

-- A member may live on another server, so nothing is referred to.
CREATE TABLE group_members (
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    participant INTEGER NOT NULL,
    -- The chain's entry about the member, as JSON.
    member TEXT NOT NULL,
    suspended INTEGER NOT NULL CHECK (suspended IN (0, 1)),
    -- Keys were reset, and the chain does not know yet.
    reset INTEGER NOT NULL DEFAULT 0 CHECK (reset IN (0, 1)),
    PRIMARY KEY (group_id, participant)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_participant ON group_members (participant);

-- Whoever left may read on how that came about, and what was posted before.
CREATE TABLE former_group_members (
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    participant INTEGER NOT NULL,
    -- The entry with which they left.
    until INTEGER NOT NULL,
    PRIMARY KEY (group_id, participant)
) STRICT, WITHOUT ROWID;

-- The group a body was posted to.
ALTER TABLE bodies ADD COLUMN group_id INTEGER;

-- The content key of a body, sealed to one member of a group without a group key.
CREATE TABLE slots (
    id INTEGER PRIMARY KEY,
    body INTEGER NOT NULL,
    participant INTEGER NOT NULL,
    slot BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX slots_by_body ON slots (body, participant);
