-- What a participant keeps here besides keys and mail, and what was reported to the moderators.

-- Sealed by the client. The lock is the SHA-256 of the secret that the slot is fetched with.
CREATE TABLE key_backups (
    participant INTEGER PRIMARY KEY REFERENCES participants (id),
    version INTEGER NOT NULL,
    lock BLOB NOT NULL CHECK (length(lock) = 32),
    stored_at INTEGER NOT NULL,
    fetched_at INTEGER,
    slot BLOB NOT NULL CHECK (length(slot) <= 262144)
) STRICT;

-- From whom a participant takes nothing.
CREATE TABLE blocks (
    participant INTEGER NOT NULL REFERENCES participants (id),
    blocked INTEGER NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (participant, blocked)
) STRICT, WITHOUT ROWID;

-- The only table with what people wrote: a reporter disclosed it on purpose. AUTOINCREMENT, since the log
-- remembers the numbers.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reporter INTEGER NOT NULL REFERENCES participants (id),
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
CREATE INDEX reports_by_tick ON reports (reported_tick);

-- Whom a line is about, so that it can be handed out and erased; names alone are not telling.
ALTER TABLE audit_log ADD COLUMN person INTEGER;

-- What an erased participant sent is removed from the middle of queues. No number is given twice, so the highest
-- of them is remembered; last_removed cannot, as reading goes on from there.
ALTER TABLE queues ADD COLUMN last_given INTEGER NOT NULL DEFAULT 0;
