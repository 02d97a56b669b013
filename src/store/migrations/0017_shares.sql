-- What one participant may use up of a group's chain, of others' lists of groups, and of the server's room for mail.

-- Who added a member, and over which server if it was somebody of another one; NULL: they made the group, or joined.
ALTER TABLE group_members ADD COLUMN added_by INTEGER;
ALTER TABLE group_members ADD COLUMN added_over BLOB CHECK (length(added_over) = 32);
DROP INDEX group_members_by_participant;
CREATE INDEX group_members_by_participant ON group_members (participant, added_by);
CREATE INDEX group_members_added_over ON group_members (participant, added_over) WHERE added_over IS NOT NULL;

-- Who made a group: of open ones a list shows some of each. NULL: made before this was kept, or by somebody erased.
ALTER TABLE groups ADD COLUMN made_by INTEGER;
-- Entries of the chain that members wrote who were no moderators.
ALTER TABLE groups ADD COLUMN by_members INTEGER NOT NULL DEFAULT 0;
-- Also of those who left: whoever comes back goes on counting.
CREATE TABLE group_authors (
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    participant INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (group_id, participant)
) STRICT, WITHOUT ROWID;

-- What counts as its sender's; nothing where another server, or this one, is who brought it.
ALTER TABLE bodies ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;

-- Bytes of each sender that wait anywhere: running sums, kept by what follows, whoever writes or deletes.
CREATE TABLE sender_bytes (
    sender INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;
CREATE TRIGGER bodies_charge AFTER INSERT ON bodies WHEN NEW.charged > 0 BEGIN
    INSERT INTO sender_bytes (sender, bytes) VALUES (NEW.sender, NEW.charged)
        ON CONFLICT (sender) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER bodies_discharge AFTER DELETE ON bodies WHEN OLD.charged > 0 BEGIN
    UPDATE sender_bytes SET bytes = bytes - OLD.charged WHERE sender = OLD.sender;
    DELETE FROM sender_bytes WHERE sender = OLD.sender AND bytes <= 0;
END;
-- Copies for second homes are not the sender's doing.
CREATE TRIGGER outbox_charge AFTER INSERT ON outbox WHEN NEW.copy = 0 BEGIN
    INSERT INTO sender_bytes (sender, bytes) VALUES (NEW.sender, NEW.size)
        ON CONFLICT (sender) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER outbox_discharge AFTER DELETE ON outbox WHEN OLD.copy = 0 BEGIN
    UPDATE sender_bytes SET bytes = bytes - OLD.size WHERE sender = OLD.sender;
    DELETE FROM sender_bytes WHERE sender = OLD.sender AND bytes <= 0;
END;
INSERT INTO sender_bytes (sender, bytes) SELECT sender, sum(size) FROM outbox WHERE copy = 0 GROUP BY sender;
