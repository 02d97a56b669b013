-- How devices joined and what became of key backups, for their owner to be told.

-- When and how a device was listed here, and by which other one; empty for those of before, and at second homes.
ALTER TABLE devices ADD COLUMN joined_at INTEGER;
ALTER TABLE devices ADD COLUMN joined TEXT CHECK (joined IN ('registered', 'linked', 'recovered'));
ALTER TABLE devices ADD COLUMN joined_by INTEGER;

-- A slot that ended leaves its row without lock and content: versions go on rising, and devices hear what ended it.
ALTER TABLE key_backups RENAME TO key_backups_before;
CREATE TABLE key_backups (
    participant INTEGER PRIMARY KEY REFERENCES participants (id),
    version INTEGER NOT NULL,
    lock BLOB CHECK (length(lock) = 32),
    stored_at INTEGER NOT NULL,
    fetched_at INTEGER,
    -- When the recovery code was made, and on which device.
    made_at INTEGER NOT NULL,
    made_by INTEGER,
    -- When it ended; the device that removed it, or none after a revocation or new signature keys.
    ended_at INTEGER,
    ended_by INTEGER,
    slot BLOB CHECK (length(slot) <= 262144),
    CHECK ((lock IS NULL) = (slot IS NULL)),
    CHECK ((lock IS NULL) = (ended_at IS NOT NULL))
) STRICT;
INSERT INTO key_backups (participant, version, lock, stored_at, fetched_at, made_at, slot)
    SELECT participant, version, lock, stored_at, fetched_at, stored_at, slot FROM key_backups_before;
DROP TABLE key_backups_before;
