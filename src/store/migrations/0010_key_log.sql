-- Which key bundles this server made current, as a chain that only grows; and what neighbours showed of theirs.

CREATE TABLE key_log (
    number INTEGER PRIMARY KEY,
    -- Whose: a slow hash of the ID, see docs/protocol.md.
    subject BLOB NOT NULL CHECK (length(subject) = 32),
    version INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 64),
    made_at INTEGER NOT NULL,
    -- Over this entry and the hash before.
    hash BLOB NOT NULL CHECK (length(hash) = 64)
) STRICT;

-- Who is who in the log; what was erased is not here any more.
CREATE TABLE key_log_subjects (
    participant INTEGER PRIMARY KEY REFERENCES participants (id),
    subject BLOB NOT NULL CHECK (length(subject) = 32)
) STRICT;

-- The last head of a neighbour's log that continued the one before, and the first that did not: JSON, as signed.
CREATE TABLE neighbour_logs (
    server BLOB PRIMARY KEY CHECK (length(server) = 32) REFERENCES neighbours (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 64),
    head TEXT NOT NULL,
    broken TEXT,
    broken_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE neighbour_log_entries (
    server BLOB NOT NULL CHECK (length(server) = 32) REFERENCES neighbour_logs (server) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    subject BLOB NOT NULL CHECK (length(subject) = 32),
    version INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 64),
    made_at INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (server, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX neighbour_log_entries_by_subject ON neighbour_log_entries (server, subject, number);
