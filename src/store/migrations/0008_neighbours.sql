-- Servers this one is peered with, what is on its way to them, and who lives there.

CREATE TABLE neighbours (
    -- The server ID: fingerprint of its identity key.
    id BLOB PRIMARY KEY CHECK (length(id) = 32),
    name TEXT NOT NULL,
    -- Where it may be dialled, as JSON.
    addresses TEXT NOT NULL,
    -- Whether an admin here confirmed, and one there.
    ours INTEGER NOT NULL CHECK (ours IN (0, 1)),
    theirs INTEGER NOT NULL CHECK (theirs IN (0, 1)),
    decision TEXT NOT NULL CHECK (decision IN ('active', 'paused', 'blocked')),
    -- The code of its pairing link, until it has recorded this server.
    code TEXT,
    -- What may pass, as JSON.
    contract TEXT NOT NULL,
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pairing_codes (
    code_hash BLOB PRIMARY KEY CHECK (length(code_hash) = 32),
    expires_tick INTEGER NOT NULL,
    -- The server that used it; it may come again, nobody else.
    used_by BLOB CHECK (length(used_by) = 32)
) STRICT, WITHOUT ROWID;

-- Participants of other servers, as far as anybody here has to do with them.
CREATE TABLE remote_participants (
    id INTEGER PRIMARY KEY,
    home BLOB NOT NULL CHECK (length(home) = 32),
    -- The neighbour that leads there.
    via BLOB NOT NULL CHECK (length(via) = 32),
    -- The keys as their home countersigned them; absent while only a batch named the participant.
    version INTEGER,
    digest BLOB CHECK (length(digest) = 64),
    mceliece BLOB CHECK (length(mceliece) = 64),
    keys TEXT,
    learned_tick INTEGER NOT NULL,
    -- Another server that claims the same ID.
    disputed_by BLOB CHECK (length(disputed_by) = 32),
    -- Whether an admin decided which of two servers is right.
    settled INTEGER NOT NULL CHECK (settled IN (0, 1))
) STRICT;
CREATE INDEX remote_participants_by_home ON remote_participants (home, via);
CREATE INDEX remote_participants_by_mceliece ON remote_participants (mceliece) WHERE mceliece IS NOT NULL;

-- What participants of this server sent to others, until the recipient's home has signed for it.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    sender INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    home BLOB NOT NULL CHECK (length(home) = 32),
    via BLOB NOT NULL CHECK (length(via) = 32),
    accepted_tick INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- Of a message to a group.
    group_id INTEGER,
    -- The envelope, or what several recipients' rows have in common.
    envelope BLOB CHECK ((envelope IS NULL) <> (body IS NULL)),
    body INTEGER REFERENCES outbox_bodies (id),
    -- The content key sealed to the recipient, in groups without a group key.
    slot BLOB,
    -- IDs of the attachments it refers to, one after another.
    blobs BLOB NOT NULL CHECK (length(blobs) % 16 = 0)
) STRICT;
CREATE INDEX outbox_by_body ON outbox (body) WHERE body IS NOT NULL;
CREATE UNIQUE INDEX outbox_by_message ON outbox (message_id, sender, recipient);
CREATE INDEX outbox_by_neighbour ON outbox (via, id);
CREATE INDEX outbox_by_sender ON outbox (via, sender, size);
CREATE INDEX outbox_by_home ON outbox (home);

-- Envelopes that go to several recipients, kept once; the last row of the outbox takes its own with it.
CREATE TABLE outbox_bodies (
    id INTEGER PRIMARY KEY,
    envelope BLOB NOT NULL
) STRICT;
CREATE TRIGGER outbox_bodies_end AFTER DELETE ON outbox WHEN OLD.body IS NOT NULL BEGIN
    DELETE FROM outbox_bodies
    WHERE id = OLD.body AND NOT EXISTS (SELECT 1 FROM outbox WHERE body = OLD.body);
END;

-- Batches that pass through, until the answer has gone back.
CREATE TABLE relayed (
    id INTEGER PRIMARY KEY,
    batch BLOB NOT NULL UNIQUE CHECK (length(batch) = 32),
    -- The neighbour it came from.
    source BLOB NOT NULL CHECK (length(source) = 32),
    home BLOB NOT NULL CHECK (length(home) = 32),
    via BLOB NOT NULL CHECK (length(via) = 32),
    stored_tick INTEGER NOT NULL,
    size INTEGER NOT NULL,
    -- The frame, until it is answered; then the answer.
    frame BLOB NOT NULL,
    answered INTEGER NOT NULL CHECK (answered IN (0, 1))
) STRICT;
CREATE INDEX relayed_by_neighbour ON relayed (via, answered, id);
CREATE INDEX relayed_by_source ON relayed (source, answered, id, size);

-- Groups of other servers, and the neighbour that leads to the server that keeps them.
CREATE TABLE remote_groups (
    id INTEGER PRIMARY KEY,
    home BLOB NOT NULL CHECK (length(home) = 32),
    via BLOB NOT NULL CHECK (length(via) = 32),
    learned_tick INTEGER NOT NULL
) STRICT;
CREATE INDEX remote_groups_by_home ON remote_groups (home, via);

-- Participants of other servers from whom nothing is taken here, and to whom nothing is brought.
CREATE TABLE blocked_remote (
    participant INTEGER PRIMARY KEY,
    blocked_at INTEGER NOT NULL
) STRICT;

-- An attachment may come from somebody who lives elsewhere: its owner need not be a participant of this server.
CREATE TABLE blobs_of_anybody (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL,
    -- Names the file; drawn anew for each blob and never again, so that a late removal meets no other.
    file BLOB NOT NULL UNIQUE CHECK (length(file) = 16),
    size INTEGER NOT NULL CHECK (size > 0),
    -- How much of the file is on disk for certain.
    durable INTEGER NOT NULL DEFAULT 0 CHECK (durable BETWEEN 0 AND size),
    created_tick INTEGER NOT NULL,
    -- When something was last written.
    touched_tick INTEGER NOT NULL,
    -- Whether some device or home ever had it to fetch.
    sent INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1))
) STRICT, WITHOUT ROWID;
INSERT INTO blobs_of_anybody
    SELECT id, owner, file, size, durable, created_tick, touched_tick, sent FROM blobs;
CREATE TABLE blob_holds_kept (
    blob BLOB NOT NULL REFERENCES blobs_of_anybody (id) ON DELETE CASCADE,
    device INTEGER NOT NULL,
    PRIMARY KEY (blob, device)
) STRICT, WITHOUT ROWID;
INSERT INTO blob_holds_kept SELECT blob, device FROM blob_holds;
DROP TABLE blob_holds;
DROP TABLE blobs;
ALTER TABLE blobs_of_anybody RENAME TO blobs;
ALTER TABLE blob_holds_kept RENAME TO blob_holds;
CREATE INDEX blobs_by_owner ON blobs (owner, size);
CREATE INDEX blob_holds_by_device ON blob_holds (device);

-- Homes that still have to fetch an attachment from here.
CREATE TABLE blob_homes (
    blob BLOB NOT NULL REFERENCES blobs (id) ON DELETE CASCADE,
    home BLOB NOT NULL CHECK (length(home) = 32),
    PRIMARY KEY (blob, home)
) STRICT, WITHOUT ROWID;

-- Attachments that this server fetches from another home; the row goes when that home knows that they are here.
CREATE TABLE blob_sources (
    blob BLOB PRIMARY KEY REFERENCES blobs (id) ON DELETE CASCADE,
    home BLOB NOT NULL CHECK (length(home) = 32)
) STRICT, WITHOUT ROWID;

-- A report may come from another server, about what somebody of this one wrote there.
CREATE TABLE reports_of_anybody (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reporter INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    reported_at INTEGER NOT NULL,
    reported_tick INTEGER NOT NULL,
    reason TEXT NOT NULL,
    -- The signed message as it was received.
    message TEXT NOT NULL,
    closed_at INTEGER,
    closed_by TEXT,
    UNIQUE (reporter, sender, message_id)
) STRICT;
INSERT INTO reports_of_anybody
    SELECT id, reporter, sender, message_id, reported_at, reported_tick, reason, message, closed_at, closed_by
    FROM reports;
DELETE FROM sqlite_sequence WHERE name = 'reports_of_anybody';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'reports_of_anybody', seq FROM sqlite_sequence WHERE name = 'reports';
DROP TABLE reports;
ALTER TABLE reports_of_anybody RENAME TO reports;
CREATE INDEX reports_by_tick ON reports (reported_tick);
