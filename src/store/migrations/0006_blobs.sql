-- Attachments. Their bytes stand in files beside the database, see blob_files.rs.

CREATE TABLE blobs (
    id BLOB PRIMARY KEY CHECK (length(id) = 16),
    owner INTEGER NOT NULL REFERENCES participants (id),
    -- Names the file; drawn anew for each blob and never again, so that a late removal meets no other.
    file BLOB NOT NULL UNIQUE CHECK (length(file) = 16),
    size INTEGER NOT NULL CHECK (size > 0),
    -- How much of the file is on disk for certain.
    durable INTEGER NOT NULL DEFAULT 0 CHECK (durable BETWEEN 0 AND size),
    created_tick INTEGER NOT NULL,
    -- When something was last written.
    touched_tick INTEGER NOT NULL,
    -- Whether some device ever had it to fetch.
    sent INTEGER NOT NULL DEFAULT 0 CHECK (sent IN (0, 1))
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_by_owner ON blobs (owner, size);

-- Devices that may fetch a blob and have not released it yet.
CREATE TABLE blob_holds (
    blob BLOB NOT NULL REFERENCES blobs (id) ON DELETE CASCADE,
    device INTEGER NOT NULL,
    PRIMARY KEY (blob, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_holds_by_device ON blob_holds (device);
