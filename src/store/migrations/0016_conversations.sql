-- One message ID may name a message to a participant, and one to each of several groups that both belong to.

CREATE TABLE receipts_by_conversation (
    message_id BLOB NOT NULL CHECK (length(message_id) = 16),
    sender INTEGER NOT NULL,
    -- -1: a whole group.
    recipient INTEGER NOT NULL,
    -- -1: no group.
    group_id INTEGER NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 16),
    accepted_tick INTEGER NOT NULL,
    PRIMARY KEY (message_id, sender, recipient, group_id)
) STRICT, WITHOUT ROWID;
-- Groups were numbered above every participant.
INSERT INTO receipts_by_conversation
    SELECT message_id, sender, CASE WHEN recipient >= 1 << 61 THEN -1 ELSE recipient END,
        CASE WHEN recipient >= 1 << 61 THEN recipient - (1 << 61) ELSE -1 END, digest, accepted_tick
    FROM receipts;
DROP TABLE receipts;
ALTER TABLE receipts_by_conversation RENAME TO receipts;

DROP INDEX outbox_by_message;
CREATE UNIQUE INDEX outbox_by_message ON outbox (message_id, sender, recipient, coalesce(group_id, -1));
