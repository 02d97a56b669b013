-- Which servers were told of whom, and which of them still have to forget somebody who is erased.

-- Their keys, with the name in them, went there in an answer: of this server's participants, and of others' whose keys
-- this server passed on.
CREATE TABLE servers_told (
    participant INTEGER NOT NULL,
    server BLOB NOT NULL CHECK (length(server) = 32),
    told_at INTEGER NOT NULL,
    PRIMARY KEY (participant, server)
) STRICT, WITHOUT ROWID;

-- Servers that have not acknowledged it; the row goes with the last one.
CREATE TABLE erasures (
    participant INTEGER PRIMARY KEY,
    -- Their server IDs, one after another.
    servers BLOB NOT NULL CHECK (length(servers) % 32 = 0 AND length(servers) > 0),
    -- What the home signed, with its identity key (SPKI DER), where this server passes it on; of its own people it signs
    -- anew each time, so that nothing is kept of them but the number.
    identity_key BLOB,
    departure TEXT,
    CHECK ((identity_key IS NULL) = (departure IS NULL))
) STRICT;
