-- Instants named *_at are Unix milliseconds for people; those named *_tick are milliseconds the
-- server itself saw pass, which is what expiry goes by.

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Erased participants keep their row, so that an ID is never given twice.
CREATE TABLE participants (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('member', 'moderator', 'admin', 'bot')),
    state TEXT NOT NULL CHECK (state IN ('active', 'disabled', 'erased')),
    created_at INTEGER NOT NULL,
    -- Set by an admin: the next bundle may change the signature key without the old key's signature.
    key_reset_allowed INTEGER NOT NULL DEFAULT 0 CHECK (key_reset_allowed IN (0, 1))
) STRICT;

CREATE TABLE invites (
    code_hash BLOB PRIMARY KEY CHECK (length(code_hash) = 32),
    name TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    expires_tick INTEGER NOT NULL,
    spent_by INTEGER REFERENCES participants (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    participant INTEGER PRIMARY KEY,
    invite BLOB NOT NULL REFERENCES invites (code_hash) ON DELETE CASCADE,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    expires_tick INTEGER NOT NULL
) STRICT;

CREATE TABLE key_bundles (
    participant INTEGER NOT NULL REFERENCES participants (id),
    version INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 64),
    mceliece BLOB CHECK (length(mceliece) = 64),
    -- Whether the signature key differs from the bundle before.
    changes_signature_key INTEGER NOT NULL CHECK (changes_signature_key IN (0, 1)),
    superseded_tick INTEGER,
    countersignature TEXT NOT NULL,
    bundle TEXT NOT NULL,
    PRIMARY KEY (participant, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE mceliece_keys (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 64),
    uploader INTEGER NOT NULL,
    stored_tick INTEGER NOT NULL,
    key BLOB NOT NULL CHECK (length(key) = 524160)
) STRICT;

CREATE TABLE device_lists (
    participant INTEGER PRIMARY KEY REFERENCES participants (id),
    version INTEGER NOT NULL,
    list TEXT NOT NULL
) STRICT;

CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    participant INTEGER NOT NULL REFERENCES participants (id),
    key_digest BLOB NOT NULL CHECK (length(key_digest) = 64),
    login_key BLOB NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0 CHECK (revoked IN (0, 1)),
    parked INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1)),
    seen_tick INTEGER NOT NULL
) STRICT;
CREATE INDEX devices_by_participant ON devices (participant);

-- An envelope stands here once, however many devices it goes to. Without AUTOINCREMENT, whose counter would
-- be one more page per commit: a number is referred to only while its row exists.
CREATE TABLE bodies (
    id INTEGER PRIMARY KEY,
    remaining INTEGER NOT NULL CHECK (remaining > 0),
    sender INTEGER NOT NULL,
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    accepted_at INTEGER NOT NULL,
    envelope BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
    device INTEGER NOT NULL REFERENCES devices (id),
    sequence INTEGER NOT NULL,
    body INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bundle_version INTEGER NOT NULL,
    accepted_tick INTEGER NOT NULL,
    PRIMARY KEY (device, sequence)
) STRICT, WITHOUT ROWID;

-- What outlives the deliveries of a queue, so that no sequence number is given twice.
CREATE TABLE queues (
    device INTEGER PRIMARY KEY REFERENCES devices (id),
    last_removed INTEGER NOT NULL,
    missed INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Makes submissions idempotent. The message ID comes first: it starts with a time, so the tree grows at
-- one edge.
CREATE TABLE receipts (
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    sender INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 16),
    accepted_tick INTEGER NOT NULL,
    PRIMARY KEY (message_id, sender, recipient)
) STRICT, WITHOUT ROWID;

CREATE TABLE admin_accounts (
    name TEXT PRIMARY KEY,
    password_hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;
