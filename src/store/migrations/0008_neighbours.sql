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
    envelope BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_by_message ON outbox (message_id, sender, recipient);
CREATE INDEX outbox_by_neighbour ON outbox (via, id);
CREATE INDEX outbox_by_sender ON outbox (via, sender, size);
CREATE INDEX outbox_by_home ON outbox (home);

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
