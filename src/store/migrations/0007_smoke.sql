-- The Smoke gateway: who uses the Smoke app here, and what waits for them. Ticks and instants as everywhere.

CREATE TABLE smoke_participants (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    smoke_id TEXT NOT NULL UNIQUE CHECK (length(smoke_id) = 39),
    name TEXT NOT NULL,
    -- Keys that follow from the ID; kept because deriving them takes a millisecond each at every start.
    stream BLOB NOT NULL CHECK (length(stream) = 96),
    origin TEXT NOT NULL CHECK (origin IN ('added', 'shared')),
    -- Set by an admin: keys that somebody else passes on are taken too.
    accepts_unsigned INTEGER NOT NULL DEFAULT 0 CHECK (accepts_unsigned IN (0, 1)),
    created_at INTEGER NOT NULL,
    seen_at INTEGER,
    -- Why the last key bundle was not taken, as one word.
    refusal TEXT
) STRICT;

-- The keys bound to an ID; at most one pair each. 'waiting': the ID does not follow from the keys, so an admin
-- decides.
CREATE TABLE smoke_keys (
    participant INTEGER PRIMARY KEY REFERENCES smoke_participants (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('bound', 'waiting')),
    encryption_digest BLOB NOT NULL CHECK (length(encryption_digest) = 64),
    signature_digest BLOB NOT NULL CHECK (length(signature_digest) = 64),
    received_at INTEGER NOT NULL,
    encryption_key BLOB NOT NULL,
    encryption_signature BLOB NOT NULL,
    signature_key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE INDEX smoke_keys_by_encryption ON smoke_keys (encryption_digest);
CREATE INDEX smoke_keys_by_signature ON smoke_keys (signature_digest);

CREATE TABLE smoke_ozones (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- AUTOINCREMENT: connections remember what they handed over by number.
CREATE TABLE smoke_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    participant INTEGER NOT NULL REFERENCES smoke_participants (id) ON DELETE CASCADE,
    digest BLOB NOT NULL CHECK (length(digest) = 64),
    size INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0 CHECK (released IN (0, 1)),
    stored_tick INTEGER NOT NULL,
    -- Set once the recipient has read it; the body is gone then, and the row only keeps it from coming back.
    read_tick INTEGER,
    body BLOB,
    UNIQUE (participant, digest),
    CHECK ((body IS NULL) = (read_tick IS NOT NULL))
) STRICT;
CREATE INDEX smoke_messages_waiting ON smoke_messages (participant, released, size) WHERE read_tick IS NULL;

CREATE TABLE smoke_listeners (
    address TEXT PRIMARY KEY,
    is_private INTEGER NOT NULL CHECK (is_private IN (0, 1)),
    max_clients INTEGER NOT NULL CHECK (max_clients > 0),
    is_enabled INTEGER NOT NULL CHECK (is_enabled IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Servers this one connects to, such as SmokeStack.
CREATE TABLE smoke_neighbours (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    address TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('smokestack', 'spot-on-lite')),
    is_enabled INTEGER NOT NULL CHECK (is_enabled IN (0, 1)),
    -- The first certificate it showed (DER); any other is refused.
    certificate BLOB
) STRICT;
