-- Files that came with messages. Some profiles of before have the table already.
CREATE TABLE IF NOT EXISTS files (
    blob TEXT NOT NULL, sender TEXT NOT NULL, message TEXT NOT NULL, name TEXT NOT NULL, media_type TEXT NOT NULL,
    size INTEGER NOT NULL, sent_at INTEGER NOT NULL, saved TEXT, PRIMARY KEY (blob, sender)) STRICT;

-- Which messages a file came along with; files of messages that were taken back, which the server need not keep for
-- this device (or, being its owner's, for anybody); whether a receipt says that something was read.
CREATE TABLE file_messages (blob TEXT NOT NULL, sender TEXT NOT NULL, message TEXT NOT NULL,
                            PRIMARY KEY (blob, sender, message)) STRICT;
INSERT INTO file_messages SELECT blob, sender, message FROM files;
CREATE TABLE due_releases (blob TEXT PRIMARY KEY, erases INTEGER NOT NULL) STRICT;
ALTER TABLE due_receipts ADD COLUMN state TEXT NOT NULL DEFAULT 'read';
