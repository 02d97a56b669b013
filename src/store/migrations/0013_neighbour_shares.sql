-- What a neighbour brings costs its own share, and nobody speaks for this server's participants.

-- The neighbour that brought a delivery, and the home that signed for it, by the first eight bytes of their IDs; 0: here.
ALTER TABLE deliveries ADD COLUMN via INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN home INTEGER NOT NULL DEFAULT 0;

-- What this server's participants posted to groups of other servers: such a server hands on nothing else in their name.
CREATE TABLE posted_elsewhere (
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    sender INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    posted_tick INTEGER NOT NULL,
    PRIMARY KEY (message_id, sender, group_id)
) STRICT, WITHOUT ROWID;

-- Bytes that are kept of what leads over a neighbour: participants of other servers, their keys, and groups. Each row
-- costs 256 besides its keys.
CREATE TABLE remote_shares (
    via BLOB PRIMARY KEY CHECK (length(via) = 32),
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO remote_shares
    SELECT via, sum(bytes) FROM (
        SELECT via, 256 + coalesce(length(keys), 0) AS bytes FROM remote_participants
        UNION ALL SELECT via, 256 FROM remote_groups)
    GROUP BY via;
CREATE TRIGGER remote_participants_come AFTER INSERT ON remote_participants BEGIN
    INSERT INTO remote_shares (via, bytes) VALUES (NEW.via, 256 + coalesce(length(NEW.keys), 0))
        ON CONFLICT (via) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER remote_participants_change AFTER UPDATE OF via, keys ON remote_participants BEGIN
    UPDATE remote_shares SET bytes = bytes - 256 - coalesce(length(OLD.keys), 0) WHERE via = OLD.via;
    INSERT INTO remote_shares (via, bytes) VALUES (NEW.via, 256 + coalesce(length(NEW.keys), 0))
        ON CONFLICT (via) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER remote_participants_go AFTER DELETE ON remote_participants BEGIN
    UPDATE remote_shares SET bytes = bytes - 256 - coalesce(length(OLD.keys), 0) WHERE via = OLD.via;
    DELETE FROM remote_shares WHERE via = OLD.via AND bytes <= 0;
END;
CREATE TRIGGER remote_groups_come AFTER INSERT ON remote_groups BEGIN
    INSERT INTO remote_shares (via, bytes) VALUES (NEW.via, 256)
        ON CONFLICT (via) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER remote_groups_change AFTER UPDATE OF via ON remote_groups BEGIN
    UPDATE remote_shares SET bytes = bytes - 256 WHERE via = OLD.via;
    INSERT INTO remote_shares (via, bytes) VALUES (NEW.via, 256)
        ON CONFLICT (via) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER remote_groups_go AFTER DELETE ON remote_groups BEGIN
    UPDATE remote_shares SET bytes = bytes - 256 WHERE via = OLD.via;
    DELETE FROM remote_shares WHERE via = OLD.via AND bytes <= 0;
END;
-- What was learned longest ago makes room, and names before keys.
CREATE INDEX remote_names_by_age ON remote_participants (via, learned_tick) WHERE keys IS NULL;
CREATE INDEX remote_keys_by_age ON remote_participants (via, learned_tick) WHERE keys IS NOT NULL;
CREATE INDEX remote_groups_by_age ON remote_groups (via, learned_tick);

-- The neighbour over which an attachment came, for as long as it is here.
CREATE TABLE blobs_brought (
    blob BLOB PRIMARY KEY REFERENCES blobs (id) ON DELETE CASCADE,
    via BLOB NOT NULL CHECK (length(via) = 32),
    owner INTEGER NOT NULL,
    size INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_brought_by_neighbour ON blobs_brought (via, owner, size);

-- McEliece keys of other servers' participants, and the neighbour they came over: half a megabyte each.
CREATE TABLE mceliece_brought (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 64),
    via BLOB NOT NULL CHECK (length(via) = 32),
    stored_tick INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mceliece_brought_by_age ON mceliece_brought (via, stored_tick);
